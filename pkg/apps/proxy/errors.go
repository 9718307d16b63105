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

// proxyError is why a request reaches no app.
type proxyError struct {
	status int
	host   string
	route  *routes.Entry // nil where there is none
	err    error
}

// The codes of the pages, for programs.
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

// unreachable answers for a request that got no answer from its app.
func (h *Handler) unreachable(s *serving, w http.ResponseWriter, r *http.Request, rt *routes.Entry, host string, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left
	}
	h.log.Debug("app not reached", "hostname", host, "error", err)
	h.fail(s, w, r, h.diagnose(rt, host, err))
}

// errBrokenBody is a request whose body ends early or has chunks that are none.
var errBrokenBody = errors.New("the request's body cannot be read")

// diagnose tells an app that starts from one that failed.
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

// page describes an error.
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
		rep.App, rep.Code, rep.Title = "", codeMisdirected, "This host is not served here"
		rep.Lead = "Hostless answers for localhost and for names below it, such as my-app.localhost."
		rep.Note = "The names that there are:"
		rep.Commands = []string{"hostless list"}
		return rep // what apps there are is nothing for a name that another made lead here
	case http.StatusLoopDetected:
		h.describeLoop(rep)
	case http.StatusNotFound:
		h.describeNoRoute(rep, last)
	case http.StatusBadRequest:
		rep.Code, rep.Title = codeBadRequest, "The request's body is broken"
		rep.Lead = "It ends before its length, or its chunks cannot be read. " + rep.App + " did not receive all of it."
		last = nil
	case http.StatusServiceUnavailable:
		rep.Code, rep.Title, rep.Refresh = codeStarting, rep.App+" is starting", 1
		rep.Lead = "It does not listen yet."
		if t.route != nil && t.route.CurrentState() == routes.StateListening {
			rep.Lead = "It does not accept connections at the moment: it may be restarting."
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

// describe adds what is known of the app.
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
	rep.Code, rep.Title = codeLoop, "The request is in a loop"
	rep.Lead = "It passed through Hostless " + strconv.Itoa(maxHops) + " times: " + rep.App + " sends it back to its own name."
	rep.Note = "Where a dev server proxies to another app, have it ask for that app's own name: in Vite, webpack and http-proxy that is"
	rep.Commands = []string{`target: "` + h.cfg.URL("OTHER.localhost") + `", changeOrigin: true`}
}

func (h *Handler) describeNoRoute(rep *errpage.Page, last *routes.LastRun) {
	rep.Code, rep.Title = codeNoRoute, "No app is called "+rep.App
	rep.Lead = "Nothing runs under this name at the moment."
	if list := h.cfg.Table.At(rep.Host); len(list) > 0 {
		rep.Lead = "This name has apps under some paths, but not under this one."
		for _, e := range list {
			rep.AddFact("Path", e.PathPrefix)
		}
		return
	}
	if _, err := appname.Check(rep.App); err != nil {
		rep.Lead = fault.From(err).Message + "."
		rep.Note, rep.Commands = "The names that there are:", []string{"hostless list"}
		return
	}
	command := "npm run dev"
	if last != nil {
		rep.Title, rep.Refresh = rep.App+" is not running", 2
		rep.Lead = "Its last run " + exitSummary(last) + "."
		command = cmp.Or(last.Command, command)
		ended := last.Route
		ended.PID, ended.Command = 0, "" // no more; and below
		describe(rep, ended)
	}
	again := routes.Route{Name: rep.App, Command: command}
	if last != nil {
		again.Lazy, again.Output = last.Lazy, last.Output
	}
	rep.Commands = []string{runCommand(again), "hostless alias " + rep.App + " 3000"}
	rep.Note = "Start the app under that name, for example so, or give the name to a port that listens already:"
}

// runCommand is what starts an app under its name.
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
		rep.Code, rep.Title = codeBadAnswer, rep.App+" did not answer in HTTP"
		rep.Lead = "Its answer cannot be read: " + proto.Reason + "."
		if strings.HasPrefix(strings.TrimSpace(proto.Received), "Unauthorized") {
			rep.Lead = "It sent only “Unauthorized”, without a status line."
			rep.Note = "Next.js refuses so what comes from a host that it does not know. Allow this one in next.config:"
			rep.Commands = []string{`allowedDevOrigins: ["` + rep.Host + `"]`}
		}
	case errors.As(t.err, &cert):
		rep.Code, rep.Title = codeCertificate, "The certificate of "+rep.App+" is not trusted"
		rep.Lead = cert.Err.Error() + "."
		rep.Note = "If it is your own, accept it for this one target:"
		rep.Commands = []string{"hostless alias --force --insecure " + rep.App + " " + target}
	case errors.As(t.err, &dial) && leased && rt.State == routes.StateExited:
		rep.Code, rep.Title = codeExited, rep.App+" has ended"
		rep.Lead = "Its process " + exitSummary(last) + "."
		if rt.Command != "" {
			rep.Commands = []string{runCommand(rt)}
		}
	case errors.As(t.err, &handshake):
		rep.Code, rep.Title = codeHandshake, rep.App+" did not agree on TLS"
		rep.Lead = target + " accepted the connection, but: " + handshake.Err.Error() + "."
		rep.Note = "If it speaks plain http there, say so:"
		rep.Commands = []string{"hostless alias --force " + rep.App + " http://" + rt.Target.Host + rt.Target.Path}
	case errors.As(t.err, &dial):
		rep.Code, rep.Title = codeRefused, rep.App+" does not answer"
		rep.Lead = "Nothing accepts connections at " + target + "."
		rep.Refresh = 2 // it may be starting again
		switch {
		case errors.As(t.err, &dns):
			rep.Lead = "No address is known for " + dns.Name + "."
		case errors.Is(t.err, fs.ErrPermission):
			rep.Lead = target + " may not be opened: permission denied."
		case errors.As(t.err, &timeout) && timeout.Timeout():
			rep.Lead = target + " did not accept the connection in time."
		}
		switch {
		case leased:
			rep.Note = "Its process lives but listens elsewhere, or no more. Have it listen on the port in $PORT, or start it again:"
			if rt.Command != "" {
				rep.Commands = []string{runCommand(rt)}
			}
		case rt.Target.Socket == "" && !rt.Target.URL:
			rep.Note = "Start what listens there, or point the name elsewhere:"
			rep.Commands = []string{"hostless alias " + rep.App + " PORT"}
		default:
			rep.Note = "Start what listens there, or take the name back:"
			rep.Commands = []string{"hostless alias remove " + rep.App}
		}
	case errors.As(t.err, &timeout) && timeout.Timeout():
		rep.Code, rep.Title = codeSilent, rep.App+" does not answer"
		rep.Lead = target + " accepted the connection and sent nothing for too long."
	default:
		rep.Code, rep.Title = codeClosed, rep.App+" closed the connection before the response was complete"
		rep.Lead = "No response came. The app may have crashed, or be restarting."
		switch {
		case leased && rt.Output == routes.OutputLog:
			rep.Note = "What it printed says more:"
			rep.Commands = []string{"hostless logs " + rep.App}
		case !leased && rt.Target.Socket == "" && rt.Target.Scheme == "http": // servers of TLS end what is none so
			rep.Note = "If it speaks https there, say so:"
			rep.Commands = []string{"hostless alias --force --insecure " + rep.App + " https://" + rt.Target.Host + rt.Target.Path}
		}
	}
}

// exitSummary say how a run ended.
func exitSummary(last *routes.LastRun) string {
	switch {
	case last == nil || last.Exit == nil:
		return "exited without a status, as a killed process does"
	case *last.Exit > 128 && *last.Exit < 128+65:
		sig := syscall.Signal(*last.Exit - 128)
		return fmt.Sprintf("was ended by signal %d (%v)", int(sig), sig)
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

// maxOthers bounds the links of a page.
const maxOthers = 12

// others are the other apps, as links.
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
