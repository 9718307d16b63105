package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"github.com/hostless/hostless/web"
)

// sdkTypes are the content types of the connect SDK's files, by extension.
var sdkTypes = map[string]string{".js": "text/javascript; charset=utf-8", ".ts": "text/plain; charset=utf-8"}

// serveSDK registers the modules of the connect SDK, which any page may load.
func serveSDK(mux *http.ServeMux) error {
	files, err := fs.Glob(web.Files, "*")
	if err != nil {
		return err
	}
	for _, name := range files {
		data, err := web.Files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		mux.Handle("/"+name, sdkFile{data, sdkTypes[path.Ext(name)], strconv.Quote(hex.EncodeToString(sum[:8]))})
	}
	return nil
}

// sdkFile serves one module. It is the same for everybody, so every origin may read it.
type sdkFile struct {
	data []byte
	kind string
	tag  string
}

func (f sdkFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		for _, network := range []string{"Private", "Local"} {
			if r.Header.Get("Access-Control-Request-"+network+"-Network") == "true" {
				h.Set("Access-Control-Allow-"+network+"-Network", "true")
			}
		}
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(f.data)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.Write(f.data)
	}
}
