package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestKeysAddFindsALocalServer: `keys add ollama` looks for Ollama on its port and
// reports if it is not there.
func TestKeysAddFindsALocalServer(t *testing.T) {
	d := harness.Start(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"object":"list","data":[{"id":"llama3"},{"id":"qwen3"}]}`)
	}))
	d.Env = append(d.Env, "OLLAMA_HOST="+strings.TrimPrefix(srv.URL, "http://"))
	r := d.CLI("keys", "add", "ollama")
	if r.Code != 0 || !strings.Contains(r.Stderr, "2 models") {
		t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if out := d.Must("keys", "list", "--json"); !strings.Contains(out, srv.URL+"/v1") {
		t.Errorf("stored: %s", out)
	}
	srv.Close()
	r = d.CLI("keys", "add", "ollama")
	if r.Code != 1 || !strings.Contains(r.Stderr, "was not found at "+srv.URL) {
		t.Errorf("without a server: exit %d\n%s", r.Code, r.Stderr)
	}
}
