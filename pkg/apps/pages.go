package apps

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// problem is why a request reached no app.
type problem struct {
	status     int
	kind       fault.Kind
	title      string
	text       string
	next       string // the command that mends it
	retryAfter int    // seconds; the page loads itself again
	exit       string // how the last run ended
	log        []string
	host       string
}

func unknownName(host string) *problem {
	name := strings.TrimSuffix(host, Suffix)
	return &problem{
		status: http.StatusNotFound, kind: fault.NotFound, host: host, title: "No app is called " + name,
		text: "Nothing is registered under " + host + ".", next: "hostless run " + name + " -- npm run dev",
	}
}

func starting(s Route) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, kind: fault.Upstream, retryAfter: 1, title: s.Name + " is starting",
		text: fmt.Sprintf("%s runs and does not listen on %s yet. This page loads the app as soon as it does.", cmp.Or(s.Command, "The app"), s.Target),
		log:  s.Log,
	}
}

func ended(s Route) *problem {
	pr := &problem{
		status: http.StatusBadGateway, kind: fault.Upstream, title: s.Name + " has ended", text: "The app's process has ended.",
		next: "hostless run " + s.Name + " -- " + cmp.Or(s.Command, "COMMAND"), log: s.Log,
	}
	if s.Exit != nil {
		pr.exit = "exit code " + strconv.Itoa(*s.Exit)
	}
	return pr
}

func nothingListens(s Route) *problem {
	pr := &problem{
		status: http.StatusBadGateway, kind: fault.Upstream, title: s.Name + " is not running",
		text: "Nothing listens on " + s.Target.String() + ".", log: s.Log,
	}
	switch {
	case s.Kind == Leased && s.State != StateListening:
		return starting(s)
	case s.Kind == Leased:
		pr.text += " " + cmp.Or(s.Command, "The app") + " still runs."
	case s.Alias:
		pr.next = "start it there, or: hostless alias " + s.Name + " PORT"
	default:
		pr.next = "start it there, or: hostless route remove " + s.Name
	}
	return pr
}

func looping(rt *route) *problem {
	return &problem{
		status: http.StatusLoopDetected, kind: fault.Upstream, title: rt.Name + " calls itself",
		text: "The request came back to Hostless again and again: the app's own proxy sends it to the name that it was asked under. " +
			"Set changeOrigin: true in that proxy (Vite, webpack, http-proxy-middleware), or let it call the other app's port.",
	}
}

// wantsHTML reports whether a person looks on.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("Upgrade") == ""
}

// otherRoute is a link on a page.
type otherRoute struct{ Name, URL string }

// pageData fills the template.
type pageData struct {
	Status                              int
	Title, Text, Next, Host, Exit, Hint string
	Retry                               int
	Log                                 []string
	Others                              []otherRoute
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// fail answers with the problem in the form that the client asked for.
func (p *Plane) fail(w http.ResponseWriter, r *http.Request, rt *route, pr *problem) {
	if rt != nil {
		pr.host = rt.Hostname
	}
	p.log.Debug("no app reached", "host", pr.host, "status", pr.status)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Hostless-Error", "local")
	if pr.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(pr.retryAfter))
	}
	var body []byte
	accept := r.Header.Get("Accept")
	switch {
	case wantsHTML(r):
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		body = p.html(pr)
	case strings.Contains(accept, "text/plain"):
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(plain(pr))
	default:
		h.Set("Content-Type", "application/json")
		body = asJSON(pr)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(pr.status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

func (p *Plane) html(pr *problem) []byte {
	data := pageData{Status: pr.status, Title: pr.title, Text: pr.text, Next: pr.next, Host: pr.host, Exit: pr.exit, Retry: pr.retryAfter, Log: lastLines(pr.log)}
	seen := map[string]bool{pr.host: true}
	for _, other := range p.List() {
		if !seen[other.Hostname] && len(data.Others) < 30 {
			seen[other.Hostname] = true
			data.Others = append(data.Others, otherRoute{other.Name, p.cfg.URL(other.Hostname)})
		}
	}
	var b bytes.Buffer
	if err := page.Execute(&b, data); err != nil {
		p.log.Error("error page cannot be made", "err", err)
		return []byte(plain(pr))
	}
	return b.Bytes()
}

// lastLines bounds what a page shows of a log.
func lastLines(log []string) []string {
	if len(log) > 20 {
		log = log[len(log)-20:]
	}
	out := make([]string, 0, len(log))
	for _, line := range log {
		if len(line) > 300 {
			line = strings.ToValidUTF8(line[:300], "") + "…"
		}
		out = append(out, line)
	}
	return out
}

func plain(pr *problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n%s\n", pr.status, pr.title, pr.text)
	if pr.exit != "" {
		fmt.Fprintf(&b, "Last run: %s\n", pr.exit)
	}
	if pr.next != "" {
		fmt.Fprintf(&b, "Next: %s\n", pr.next)
	}
	return b.String()
}

func asJSON(pr *problem) []byte {
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Code    *string `json:"code"`
		Param   *string `json:"param"`
		Next    string  `json:"next,omitempty"`
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(map[string]body{"error": {Message: pr.title + ": " + pr.text, Type: pr.kind.Type(), Next: pr.next}})
	return b.Bytes()
}
