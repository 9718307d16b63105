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

// TestMisspelledProvider: a provider in a token's scope that is probably misspelled is
// pointed out; one that has a key is not.
func TestMisspelledProvider(t *testing.T) {
	d := harness.Start(t)
	d.Must("keys", "add", "openai2", "x123", "--base-url", "http://127.0.0.1:9/v1")
	for providers, want := range map[string]string{"opnai": `"opnai": did you mean openai?`, "antropic,openai": `"antropic": did you mean anthropic?`, "openai": "", "openai2": "", "mine": ""} {
		r := d.CLI("token", "create", "--providers", providers)
		if r.Code != 0 || strings.Contains(r.Stderr, "did you mean") != (want != "") || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d, %q; want %q", providers, r.Code, r.Stderr, want)
		}
	}
	for args, want := range map[string]string{"clean": "hostless uninstall --purge", "share shop": "hostless share shop --lan"} {
		if r := d.CLI(strings.Fields(args)...); r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d, %q; want %q", args, r.Code, r.Stderr, want)
		}
	}
}
