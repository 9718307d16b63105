package gateway

import (
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// registerPath is the only page that scripts of other origins may call, under the CORS
// rules of the AI plane.
const registerPath = "/auth/register"

// pages are the paths of Hostless's own pages that a page of another site may link to.
var pages = map[string]bool{"/callback": true, "/connect": true}

// isPage reports whether a path is served by Config.Pages.
func isPage(path string) bool {
	switch path {
	case registerPath, "/callback", "/connect", "/connect/wait", "/connect.js", "/connect.d.ts", "/connect-react.js", "/connect-react.d.ts":
		return true
	}
	return false
}

// page passes a request to Config.Pages.
func (g *Gateway) page(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == registerPath {
		g.access.CORS(w.Header(), r)
		if r.Method == http.MethodOptions {
			g.access.Preflight(w, r, http.MethodPost)
			return
		}
	}
	g.cfg.Pages.ServeHTTP(w, r)
}

// root answers HEAD /, with which Ollama's clients look for their server.
func (g *Gateway) root(w http.ResponseWriter, r *http.Request) {
	g.access.CORS(w.Header(), r)
	if err := access.PlainOrigin(r); err != nil {
		respond.Fault(w, dialect.Ollama, err)
		return
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.WriteHeader(http.StatusOK)
}
