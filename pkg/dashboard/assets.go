package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"strconv"
)

//go:embed page.html parts.html page.css page.js icon.svg
var files embed.FS

// assets maps the files that the page loads to their content types.
var assets = map[string]string{
	"page.css": "text/css; charset=utf-8",
	"page.js":  "text/javascript; charset=utf-8",
	"icon.svg": "image/svg+xml",
}

var templates = template.Must(template.New("").Funcs(helpers).ParseFS(files, "page.html", "parts.html"))

// asset is an embedded file.
type asset struct {
	data      []byte
	kind, tag string
}

func newAsset(name, kind string) asset {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(data)
	return asset{data, kind, strconv.Quote(hex.EncodeToString(sum[:8]))}
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.tag)
	h.Set("Content-Type", a.kind)
	if r.Header.Get("If-None-Match") == a.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(a.data)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.Write(a.data)
	}
}

// page serves the page itself. It is the same for everybody and contains no data, only how
// to open it.
func (d *Dashboard) page(w http.ResponseWriter, r *http.Request) { d.render(w, r, "page", nil) }

// guide serves /llms.txt.
func (d *Dashboard) guide(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(d.cfg.Guide)))
	if r.Method == http.MethodGet {
		w.Write([]byte(d.cfg.Guide))
	}
}

// render executes a template and writes the whole result, or an error.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		d.log.Error("the page cannot be rendered", "part", name, "error", err)
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	if r.Method == http.MethodGet {
		w.Write(b.Bytes())
	}
}
