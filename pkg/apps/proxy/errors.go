package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/errpage"
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/fault"
)

// proxyError describes why a request did not reach an app.
type proxyError struct {
	status int
	host   string
	route  *routes.Entry // nil if there is none
	err    error
}

// Machine-readable codes of the error pages.
const (
	codeNoRoute     = "no_route"
	codeStarting    = "app_starting"
	codeExited      = "app_exited"
	codeRefused     = "app_unreachable"
	codeBadAnswer   = "app_bad_answer"
	codeClosed      = "app_closed"
	codeCertificate = "app_certificate"
	codeLoop        = "loop"
	codeMisdirected = "misdirected"
	codeSilent      = "app_silent"
	codeHandshake   = "app_handshake"
	codeBadRequest  = "bad_request_body"
)

// unreachable responds to a request that got no response from its app.
func (h *Handler) unreachable(s *serving, w http.ResponseWriter, r *http.Request, rt *routes.Entry, host string, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has disconnected
	}
	h.log.Debug("app not reached", "hostname", host, "error", err)
	h.fail(s, w, r, h.diagnose(rt, host, err))
}

// errBrokenBody means that a request body ended early or had invalid chunked framing.
var errBrokenBody = errors.New("the request body cannot be read")

// diagnose chooses the status code: it distinguishes an app that is starting from one
// that failed.
func (h *Handler) diagnose(rt *routes.Entry, host string, err error) *proxyError {
	t := &proxyError{status: http.StatusBadGateway, host: host, route: rt, err: err}
	var dial *http1.DialError
	var timeout net.Error
	switch {
	case errors.Is(err, errBrokenBody):
		t.status = http.StatusBadRequest
	case errors.As(err, &dial) && rt.Starting(), h.expected(rt, err), errors.Is(err, context.Canceled) && h.closing.Err() != nil:
		t.status = http.StatusServiceUnavailable
	case errors.As(err, &timeout) && timeout.Timeout():
		t.status = http.StatusGatewayTimeout
	}
	return t
}

// page returns the page for an error.
func (h *Handler) page(t *proxyError) *errpage.Page {
	rep := &errpage.Page{Status: t.status, Host: t.host, App: strings.TrimSuffix(t.host, appname.Suffix)}
	var last *routes.LastRun
	if t.route != nil {
		now := t.route.Snapshot()
		rep.App = now.Name
		if now.State == routes.StateExited {
			last = &routes.LastRun{Route: now}
		}
		describe(rep, now)
	}
	if last == nil {
		last = h.cfg.Table.LastRun(rep.App)
	}
	switch t.status {
	case http.StatusMisdirectedRequest:
		rep.App, rep.Code, rep.Title = "", codeMisdirected, "This host name is not served here"
		rep.Lead = "Hostless answers for localhost and names below it, such as my-app.localhost."
		rep.Note = "To see all names:"
		rep.Commands = []string{"hostless list"}
		return rep // no list of apps for a host name that somebody else pointed here
	case http.StatusLoopDetected:
		h.describeLoop(rep)
	case http.StatusNotFound:
		h.describeNoRoute(rep, last)
	case http.StatusBadRequest:
		rep.Code, rep.Title = codeBadRequest, "The request body is invalid"
		rep.Lead = "It is shorter than its Content-Length, or its chunked framing is invalid. " + rep.App + " did not receive all of it."
		last = nil
	case http.StatusServiceUnavailable:
		rep.Code, rep.Title, rep.Refresh = codeStarting, rep.App+" is starting", 1
		rep.Lead = "It is not listening yet."
		if t.route != nil && t.route.CurrentState() == routes.StateListening {
			rep.Lead = "It is not accepting connections at the moment and may be restarting."
		}
		if took := h.cfg.Table.StartTime(rep.App).Round(time.Second); took > time.Second {
			rep.Lead += " Its last start took " + took.String() + "."
			rep.RetryAfter = int(took / time.Second)
		}
		if last = nil; t.route != nil {
			rep.Log = t.route.Snapshot().Log
		}
	default:
		h.describeUpstreamError(rep, t, last)
	}
	if last != nil {
		rep.AddFact("Last run", ending(last, h.cfg.Now()))
		rep.Log, rep.Exit, rep.EndedAt = last.Log, last.Exit, last.At
	}
	rep.Others = h.others(rep.App)
	return rep
}

// describe adds the known facts about the app.
func describe(rep *errpage.Page, rt routes.Route) {
	where := rt.Target.String()
	if rt.Target.Local() && !rt.Target.URL {
		rep.Port = rt.Target.Port()
		where = "port " + strconv.Itoa(rep.Port)
	}
	rep.AddFact("Target", where)
	if rt.PID != 0 {
		rep.AddFact("Process", strconv.Itoa(rt.PID))
	}
	if rt.Command != "" {
		rep.AddFact("Command", rt.Command)
	}
	if rt.Directory != "" {
		rep.AddFact("Directory", rt.Directory)
	}
	switch rt.Output {
	case routes.OutputTerminal:
		rep.AddFact("Output", "in the terminal where it was started")
	case routes.OutputLog:
		rep.AddFact("Output", "hostless logs "+rt.Name)
	}
}

func (h *Handler) describeLoop(rep *errpage.Page) {
	rep.Code, rep.Title = codeLoop, "The request is looping"
	rep.Lead = "It passed through Hostless " + strconv.Itoa(maxHops) + " times: " + rep.App + " sends it back to its own name."
	rep.Note = "If a dev server proxies to another app, it must send that app's own host name. In Vite, webpack and http-proxy:"
	rep.Commands = []string{`target: "` + h.cfg.URL("OTHER.localhost") + `", changeOrigin: true`}
}

func (h *Handler) describeNoRoute(rep *errpage.Page, last *routes.LastRun) {
	rep.Code, rep.Title = codeNoRoute, "No app is called "+rep.App
	rep.Lead = "Nothing is running under this name."
	if list := h.cfg.Table.At(rep.Host); len(list) > 0 {
		rep.Lead = "This name has apps under some paths, but not under this path."
		for _, e := range list {
			rep.AddFact("Path", e.PathPrefix)
		}
		return
	}
	if _, err := appname.Check(rep.App); err != nil {
		rep.Lead = fault.From(err).Message + "."
		rep.Note, rep.Commands = "To see all names:", []string{"hostless list"}
		return
	}
	command := "npm run dev"
	if last != nil {
		rep.Title, rep.Refresh = rep.App+" is not running", 2
		rep.Lead = "Its last run " + exitSummary(last) + "."
		command = cmp.Or(last.Command, command)
		ended := last.Route
		ended.PID, ended.Command = 0, "" // the process is gone; the command is shown below
		describe(rep, ended)
	}
	again := routes.Route{Name: rep.App, Command: command}
	if last != nil {
		again.Lazy, again.Output = last.Lazy, last.Output
	}
	rep.Commands = []string{runCommand(again), "hostless alias " + rep.App + " 3000"}
	rep.Note = "Start the app under this name, for example with the first command, or give the name to a port that is already in use with the second:"
}

// runCommand returns the command that starts an app under its name.
func runCommand(rt routes.Route) string {
	if strings.HasPrefix(rt.Command, "hostless ") {
		return rt.Command
	}
	flags := ""
	if rt.Lazy {
		flags += " --lazy"
	}
	if rt.Output == routes.OutputLog {
		flags += " --detach"
	}
	return "hostless run " + rt.Name + flags + " -- " + rt.Command
}

func (h *Handler) describeUpstreamError(rep *errpage.Page, t *proxyError, last *routes.LastRun) {
	rt := t.route.Snapshot()
	target := rt.Target.String()
	leased := rt.Kind == routes.Leased
	var dial *http1.DialError
	var proto *http1.ProtocolError
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	var dns *net.DNSError
	var handshake *http1.HandshakeError
	switch {
	case errors.As(t.err, &proto):
		rep.Code, rep.Title = codeBadAnswer, rep.App+" did not respond with HTTP"
		rep.Lead = "Its response is invalid: " + proto.Reason + "."
		if strings.HasPrefix(strings.TrimSpace(proto.Received), "Unauthorized") {
			rep.Lead = "It sent only “Unauthorized”, without a status line."
			rep.Note = "Next.js responds like this to a host name that it does not know. Allow this one in next.config:"
			rep.Commands = []string{`allowedDevOrigins: ["` + rep.Host + `"]`}
		}
	case errors.As(t.err, &cert):
		rep.Code, rep.Title = codeCertificate, "The certificate of "+rep.App+" is not trusted"
		rep.Lead = cert.Err.Error() + "."
		rep.Note = "If the certificate is yours, accept it for this target:"
		rep.Commands = []string{"hostless alias --force --insecure " + rep.App + " " + target}
	case errors.As(t.err, &dial) && leased && rt.State == routes.StateExited:
		rep.Code, rep.Title = codeExited, rep.App+" has ended"
		rep.Lead = "Its process " + exitSummary(last) + "."
		if rt.Command != "" {
			rep.Commands = []string{runCommand(rt)}
		}
	case errors.As(t.err, &handshake):
		rep.Code, rep.Title = codeHandshake, rep.App+" failed the TLS handshake"
		rep.Lead = target + " accepted the connection, but: " + handshake.Err.Error() + "."
		rep.Note = "If it speaks plain http there, change the target:"
		rep.Commands = []string{"hostless alias --force " + rep.App + " http://" + rt.Target.Host + rt.Target.Path}
	case errors.As(t.err, &dial):
		rep.Code, rep.Title = codeRefused, rep.App+" is not responding"
		rep.Lead = "Nothing accepts connections at " + target + "."
		rep.Refresh = 2 // it may be starting again
		switch {
		case errors.As(t.err, &dns):
			rep.Lead = "There is no DNS address for " + dns.Name + "."
		case errors.Is(t.err, fs.ErrPermission):
			rep.Lead = target + " cannot be opened: permission denied."
		case errors.As(t.err, &timeout) && timeout.Timeout():
			rep.Lead = target + " did not accept the connection in time."
		}
		switch {
		case leased:
			rep.Note = "Its process is running, but does not listen on this port. Make it listen on the port in $PORT, or start it again:"
			if rt.Command != "" {
				rep.Commands = []string{runCommand(rt)}
			}
		case rt.Target.Socket == "" && !rt.Target.URL:
			rep.Note = "Start the app that should listen there, or point the name elsewhere:"
			rep.Commands = []string{"hostless alias " + rep.App + " PORT"}
		default:
			rep.Note = "Start the app that should listen there, or remove the name:"
			rep.Commands = []string{"hostless alias remove " + rep.App}
		}
	case errors.As(t.err, &timeout) && timeout.Timeout():
		rep.Code, rep.Title = codeSilent, rep.App+" is not responding"
		rep.Lead = target + " accepted the connection but did not respond in time."
	default:
		rep.Code, rep.Title = codeClosed, rep.App+" closed the connection before the response was complete"
		rep.Lead = "The app may have crashed, or be restarting."
		switch {
		case leased && rt.Output == routes.OutputLog:
			rep.Note = "Its output may say more:"
			rep.Commands = []string{"hostless logs " + rep.App}
		case !leased && rt.Target.Socket == "" && rt.Target.Scheme == "http": // TLS servers close a connection that does not begin with a handshake
			rep.Note = "If it speaks https there, change the target:"
			rep.Commands = []string{"hostless alias --force --insecure " + rep.App + " https://" + rt.Target.Host + rt.Target.Path}
		}
	}
}

// exitSummary says how a run ended.
func exitSummary(last *routes.LastRun) string {
	switch {
	case last == nil || last.Exit == nil:
		return "exited without a status, as a killed process does"
	case *last.Exit > 128 && *last.Exit < 128+65:
		sig := syscall.Signal(*last.Exit - 128)
		return fmt.Sprintf("was killed by signal %d (%v)", int(sig), sig)
	}
	return "ended with exit code " + strconv.Itoa(*last.Exit)
}

func ending(l *routes.LastRun, now time.Time) string {
	words := exitSummary(l)
	if !l.At.IsZero() {
		if ago := now.Sub(l.At).Round(time.Second); ago < time.Hour {
			words += ", " + ago.String() + " ago"
		} else {
			words += ", " + l.At.Local().Format("Jan 2 15:04")
		}
	}
	return words
}

// maxOthers is the maximum number of links on a page.
const maxOthers = 12

// others lists the other apps as links.
func (h *Handler) others(name string) []errpage.Link {
	var links []errpage.Link
	for host, list := range h.cfg.Table.Hosts {
		if host == name+appname.Suffix {
			continue
		}
		links = append(links, errpage.Link{Name: host, URL: h.cfg.URL(host), Target: list[len(list)-1].CurrentTarget().String()})
	}
	slices.SortFunc(links, func(a, b errpage.Link) int { return strings.Compare(a.Name, b.Name) })
	return links[:min(len(links), maxOthers)]
}
