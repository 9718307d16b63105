package approval

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

//go:embed connect.html
var connectHTML string

var connectPage = template.Must(template.New("connect").Parse(connectHTML))

// waitSlice is the longest time that one poll of the page is held.
const waitSlice = 25 * time.Second

// connectView is the data of the page's template. Without an ID it says why the request
// was refused.
type connectView struct {
	Nonce     string
	ID        string
	Origin    string
	Callback  string
	Models    []string
	Providers []string
	Limit     string
	Process   string
	Problem   string
}

// connect serves GET /connect: the page that waits until the request is answered in a
// dialog or in a terminal. The page itself cannot answer it.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request) {
	if err := topLevel(r); err != nil {
		h.page(w, err.Kind.Status(), connectView{Problem: err.Message})
		return
	}
	req, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		f := fault.From(err)
		h.page(w, f.Kind.Status(), connectView{Problem: f.Message})
		return
	}
	req.Process, req.Run = h.cfg.Caller(r)
	v, err := h.cfg.Queue.Connect(r.Context(), req)
	if err != nil {
		f := fault.From(err)
		h.page(w, f.Kind.Status(), connectView{Problem: f.Message})
		return
	}
	switch v.State {
	case approved:
		h.grant(w, r, req, v.Terms)
	case denied:
		redirect(w, req.Callback+"#error=denied&state="+url.QueryEscape(req.State))
	default:
		h.page(w, http.StatusOK, connectView{
			ID: v.ID, Origin: req.Origin, Callback: req.Callback, Models: req.Scope.Models, Providers: req.Scope.Providers, Limit: req.limit(), Process: req.Process,
		})
	}
}

// topLevel refuses every request that is not the navigation of a whole tab, going by
// Fetch Metadata: frames, fetches and prefetches must not queue a request. The page's
// headers prevent framing in browsers without Fetch Metadata.
func topLevel(r *http.Request) *fault.Error {
	dest, mode := r.Header.Get("Sec-Fetch-Dest"), r.Header.Get("Sec-Fetch-Mode")
	if dest != "" && dest != "document" || mode != "" && mode != "navigate" || len(r.Header["Origin"]) > 0 || r.Header.Get("Upgrade") != "" {
		return fault.New(fault.Forbidden, "this page can only be opened in its own tab")
	}
	if r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") == "prefetch" {
		return fault.New(fault.Forbidden, "this page cannot be prefetched")
	}
	return nil
}

// wait serves GET /connect/wait?id=…, which the page polls. Its response only says that
// the request was settled; the page then reloads to learn the verdict.
func (h *Handler) wait(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" || len(r.Header["Origin"]) > 0 {
		writeError(w, fault.New(fault.Forbidden, "only the page /connect may call this"))
		return
	}
	s := h.cfg.Queue.Wait(r.Context(), r.URL.Query().Get("id"), waitSlice)
	writeJSON(w, http.StatusOK, map[string]any{"status": s})
}

// page writes the page with headers that forbid it to load resources, to be framed, and
// to connect to any other origin.
func (h *Handler) page(w http.ResponseWriter, status int, v connectView) {
	v.Nonce = rand.Text()
	var b bytes.Buffer
	if err := connectPage.Execute(&b, v); err != nil {
		writeError(w, err)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+v.Nonce+"'; style-src 'nonce-"+v.Nonce+
		"'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	head.Set("X-Frame-Options", "DENY")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
