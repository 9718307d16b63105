package gateway_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestPrintedRequests runs the requests of docs/proxy-api.md as they are printed.
func TestPrintedRequests(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	doc, err := os.ReadFile("../../docs/proxy-api.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/v1/models", "/v1/embeddings", "/v1/files", "/v1/audio/speech":
			io.WriteString(rw, `{"data":[]}`)
		default:
			http.NotFound(rw, r)
		}
	})
	blocks := strings.Split(string(doc), "```sh\n")[1:]
	if len(blocks) < 15 {
		t.Fatalf("only %d requests were found", len(blocks))
	}
	for _, block := range blocks {
		script, _, ok := strings.Cut(block, "```")
		if !ok {
			t.Fatalf("a block does not end: %.80s", block)
		}
		cmd := exec.Command("sh", "-e", "-c", script)
		cmd.Env = append(os.Environ(), "HOSTLESS_URL="+w.server.URL, "HOSTLESS_API="+w.server.URL+"/v1", "HOSTLESS_TOKEN="+w.token, "no_proxy=*")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%s%v", script, out, err)
		}
		if strings.Contains(string(out), `"error":{`) {
			t.Errorf("%s\n%s", script, out)
		}
	}
}
