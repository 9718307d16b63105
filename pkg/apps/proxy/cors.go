package proxy

import (
	"net/http"
	"net/url"
)

// preflight reports whether a request is a CORS preflight request (WHATWG Fetch,
// "CORS-preflight request").
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// shareWith allows a page of another app to read our own error response; otherwise the
// browser would only report a CORS error. It reports whether it did. Other origins get no
// access.
func (h *Handler) shareWith(r *http.Request, header http.Header) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	header.Add("Vary", "Origin")
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	host, ok := h.hostOf(u.Host)
	if !ok || !h.cfg.Table.Serves(host) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	header.Set("Access-Control-Expose-Headers", "X-Hostless-Error, Retry-After")
	return true
}

// allowPreflight answers a preflight request for an app that cannot be reached, so that
// the browser sends the actual request and its page can read the error.
func allowPreflight(r *http.Request, header http.Header) {
	for _, name := range []string{"Content-Type", "Content-Security-Policy"} {
		header.Del(name)
	}
	header.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	if fields := r.Header.Get("Access-Control-Request-Headers"); fields != "" {
		header.Set("Access-Control-Allow-Headers", fields)
	}
}
