package apps

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
	"github.com/hostless/hostless/pkg/fault"
)

// trouble is why a request reaches no app.
type trouble struct {
	status int
	host   string
	route  *route // nil where there is none
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

// report is what a page says.
type report struct {
	Status   int
	Code     string
	App      string // its name, or ""
	Host     string
	Port     int // of this machine, or 0
	Title    string
	Lead     string
	Note     string
	Facts    []fact
	Commands []string // that mend it, to be typed
	Log      []string
	Last     *lastRun // how the last run ended, or nil
	Others   []link
	Refresh  int // seconds, or 0
}

type fact struct{ Name, Value string }

type link struct{ Name, URL, Target string }

// unreachable answers for a request that got no answer from its app.
func (p *Plane) unreachable(w http.ResponseWriter, r *http.Request, rt *route, host string, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is there to read it
	}
	p.log.Debug("app not reached", "hostname", host, "error", err)
	p.fail(w, r, p.diagnose(rt, host, err))
}

// errBrokenBody is a request whose body ends early or has chunks that are none.
var errBrokenBody = errors.New("the request's body cannot be read")

// diagnose tells starting from broken.
func (p *Plane) diagnose(rt *route, host string, err error) *trouble {
	t := &trouble{status: http.StatusBadGateway, host: host, route: rt, err: err}
	var dial *dialError
	var timeout net.Error
	switch {
	case errors.Is(err, errBrokenBody):
		t.status = http.StatusBadRequest
	case errors.As(err, &dial) && starting(rt), errors.Is(err, context.Canceled) && p.closing.Err() != nil:
		t.status = http.StatusServiceUnavailable
	case errors.As(err, &timeout) && timeout.Timeout():
		t.status = http.StatusGatewayTimeout
	}
	return t
}

// report puts a trouble into words.
func (p *Plane) report(t *trouble) *report {
	rep := &report{Status: t.status, Host: t.host, App: strings.TrimSuffix(t.host, appname.Suffix)}
	var last *lastRun
	if t.route != nil {
		now := t.route.snapshot()
		rep.App = now.Name
		if now.State == StateExited {
			last = &lastRun{Route: now}
		}
		rep.describe(now)
	}
	if last == nil {
		p.mu.Lock()
		last = p.past[rep.App]
		p.mu.Unlock()
	}
	switch t.status {
	case http.StatusMisdirectedRequest:
		rep.App, rep.Code, rep.Title = "", codeMisdirected, "This host is not served here"
		rep.Lead = "Hostless answers for localhost and for names below it, such as my-app.localhost."
		rep.Note = "The names that there are:"
		rep.Commands = []string{"hostless list"}
		return rep // what apps there are is nothing for a name that another made lead here
	case http.StatusLoopDetected:
		p.sayLoop(rep)
	case http.StatusNotFound:
		p.sayNoRoute(rep, last)
	case http.StatusBadRequest:
		rep.Code, rep.Title = codeBadRequest, "The request's body is broken"
		rep.Lead = "It ends before its length, or its chunks cannot be read. " + rep.App + " did not get it whole."
		last = nil
	case http.StatusServiceUnavailable:
		rep.Code, rep.Title, rep.Refresh = codeStarting, rep.App+" is starting", 1
		rep.Lead = "It does not listen yet."
		if last = nil; t.route != nil {
			rep.Log = t.route.snapshot().Log
		}
	default:
		p.sayBroken(rep, t, last)
	}
	if last != nil {
		rep.Facts = append(rep.Facts, fact{"Last run", last.ending(p.cfg.Now())})
		rep.Log, rep.Last = last.Log, last
	}
	rep.Others = p.others(rep.App)
	return rep
}

// describe adds what is known of the app.
func (rep *report) describe(rt Route) {
	where := rt.Target.String()
	if rt.Target.local() && !rt.Target.URL {
		rep.Port = rt.Target.Port()
		where = "port " + strconv.Itoa(rep.Port)
	}
	rep.Facts = append(rep.Facts, fact{"Target", where})
	if rt.PID != 0 {
		rep.Facts = append(rep.Facts, fact{"Process", strconv.Itoa(rt.PID)})
	}
	if rt.Command != "" {
		rep.Facts = append(rep.Facts, fact{"Command", rt.Command})
	}
	if rt.Directory != "" {
		rep.Facts = append(rep.Facts, fact{"Directory", rt.Directory})
	}
	switch rt.Output {
	case OutputTerminal:
		rep.Facts = append(rep.Facts, fact{"Output", "in the terminal where it was started"})
	case OutputLog:
		rep.Facts = append(rep.Facts, fact{"Output", "hostless logs " + rt.Name})
	}
}

func (p *Plane) sayLoop(rep *report) {
	rep.Code, rep.Title = codeLoop, "The request goes in a circle"
	rep.Lead = "It came through Hostless " + strconv.Itoa(maxHops) + " times: " + rep.App + " sends it back to the name it was asked under."
	rep.Note = "Where a dev server proxies to another app, have it ask for that app's own name: in Vite, webpack and http-proxy that is"
	rep.Commands = []string{`target: "` + p.cfg.URL("OTHER.localhost") + `", changeOrigin: true`}
}

func (p *Plane) sayNoRoute(rep *report, last *lastRun) {
	rep.Code, rep.Title = codeNoRoute, "No app is called "+rep.App
	rep.Lead = "Nothing runs under this name at the moment."
	if list := p.current.Load().byHost[rep.Host]; len(list) > 0 {
		rep.Lead = "This name has apps below some paths, but none here."
		for _, e := range list {
			rep.Facts = append(rep.Facts, fact{"Path", e.PathPrefix})
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
		rep.Lead = "Its last run " + lastWords(last) + "."
		command = cmp.Or(last.Command, command)
		ended := last.Route
		ended.PID, ended.Command = 0, "" // no more; and below
		rep.describe(ended)
	}
	again := Route{Name: rep.App, Command: command}
	if last != nil {
		again.Lazy, again.Output = last.Lazy, last.Output
	}
	rep.Commands = []string{runCommand(again), "hostless alias " + rep.App + " 3000"}
	rep.Note = "Start it under that name, or give the name to what listens already:"
}

// runCommand is what starts an app under its name.
func runCommand(rt Route) string {
	if strings.HasPrefix(rt.Command, "hostless ") {
		return rt.Command
	}
	flags := ""
	if rt.Lazy {
		flags += " --lazy"
	}
	if rt.Output == OutputLog {
		flags += " --detach"
	}
	return "hostless run " + rt.Name + flags + " -- " + rt.Command
}

func (p *Plane) sayBroken(rep *report, t *trouble, last *lastRun) {
	rt := t.route.snapshot()
	target := rt.Target.String()
	leased := rt.Kind == Leased
	var dial *dialError
	var proto *protocolError
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	var dns *net.DNSError
	var handshake *handshakeError
	switch {
	case errors.As(t.err, &proto):
		rep.Code, rep.Title = codeBadAnswer, rep.App+" did not answer in HTTP"
		rep.Lead = "Its answer cannot be read: " + proto.why + "."
		if strings.HasPrefix(strings.TrimSpace(proto.said), "Unauthorized") {
			rep.Lead = "It said only “Unauthorized”, without a status line."
			rep.Note = "Next.js refuses so what comes from a host that it does not know. Allow this one in next.config:"
			rep.Commands = []string{`allowedDevOrigins: ["` + rep.Host + `"]`}
		}
	case errors.As(t.err, &cert):
		rep.Code, rep.Title = codeCertificate, "The certificate of "+rep.App+" is not trusted"
		rep.Lead = cert.Err.Error() + "."
		rep.Note = "If it is your own, accept it for this one target:"
		rep.Commands = []string{"hostless alias --force --insecure " + rep.App + " " + target}
	case errors.As(t.err, &dial) && leased && rt.State == StateExited:
		rep.Code, rep.Title = codeExited, rep.App+" has ended"
		rep.Lead = "Its process " + lastWords(last) + "."
		if rt.Command != "" {
			rep.Commands = []string{runCommand(rt)}
		}
	case errors.As(t.err, &handshake):
		rep.Code, rep.Title = codeHandshake, rep.App+" did not agree on TLS"
		rep.Lead = target + " accepted the connection, but: " + handshake.err.Error() + "."
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
		rep.Lead = target + " accepted the connection and said nothing for too long."
	default:
		rep.Code, rep.Title = codeClosed, rep.App+" closed the connection"
		rep.Lead = "It ended before it had answered. It may have crashed, or be starting again."
		switch {
		case leased && rt.Output == OutputLog:
			rep.Note = "What it printed says more:"
			rep.Commands = []string{"hostless logs " + rep.App}
		case !leased && rt.Target.Socket == "" && rt.Target.Scheme == "http": // servers of TLS end what is none so
			rep.Note = "If it speaks https there, say so:"
			rep.Commands = []string{"hostless alias --force --insecure " + rep.App + " https://" + rt.Target.Host + rt.Target.Path}
		}
	}
}

// maxPast bounds how many ended runs are remembered.
const maxPast = 64

// lastRun is how a run of a name ended.
type lastRun struct {
	Route
	at time.Time // zero where it is just ending
}

// remember keeps how a run ended, for the pages; p.mu is held.
func (p *Plane) remember(rt Route) {
	p.past[rt.Name] = &lastRun{rt, p.cfg.Now()}
	if len(p.past) <= maxPast {
		return
	}
	oldest := rt.Name
	for name, run := range p.past {
		if run.at.Before(p.past[oldest].at) {
			oldest = name
		}
	}
	delete(p.past, oldest)
}

// lastWords say how a run ended.
func lastWords(last *lastRun) string {
	switch {
	case last == nil || last.Exit == nil:
		return "ended without a word, as one that is killed does"
	case *last.Exit > 128 && *last.Exit < 128+65:
		sig := syscall.Signal(*last.Exit - 128)
		return fmt.Sprintf("was ended by signal %d (%v)", int(sig), sig)
	}
	return "ended with exit code " + strconv.Itoa(*last.Exit)
}

func (l *lastRun) ending(now time.Time) string {
	words := lastWords(l)
	if !l.at.IsZero() {
		if ago := now.Sub(l.at).Round(time.Second); ago < time.Hour {
			words += ", " + ago.String() + " ago"
		} else {
			words += ", " + l.at.Local().Format("Jan 2 15:04")
		}
	}
	return words
}

// maxOthers bounds the links of a page.
const maxOthers = 12

// others are the other apps, as links.
func (p *Plane) others(name string) []link {
	var links []link
	for host, list := range p.current.Load().byHost {
		if host == name+appname.Suffix {
			continue
		}
		links = append(links, link{Name: host, URL: p.cfg.URL(host), Target: list[len(list)-1].target().String()})
	}
	slices.SortFunc(links, func(a, b link) int { return strings.Compare(a.Name, b.Name) })
	return links[:min(len(links), maxOthers)]
}
