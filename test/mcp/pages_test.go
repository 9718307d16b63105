package mcp

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// TestPages: no page reads /mcp, not with a token of its own and not with a stolen one.
func TestPages(t *testing.T) {
	d := harness.Start(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>app</title>an app")
	}))
	t.Cleanup(app.Close)
	port := app.URL[strings.LastIndexByte(app.URL, ':')+1:]
	d.Must("alias", "a", port)
	stolen, own := mint(t, d, "--mcp"), mint(t, d, "--origin", "http://a.localhost:"+d.Port)
	b := chromium.Start(t, chromium.Options{})
	for _, origin := range []string{"http://a.localhost:" + d.Port, "http://localhost:" + port, d.URL + "/health"} {
		tab := b.Open(origin)
		for name, token := range map[string]string{"its own token": own, "a stolen one": stolen} {
			for _, mode := range []string{"cors", "no-cors", "same-origin"} {
				got := tab.Eval(fmt.Sprintf(`fetch(%q, {method: "POST", mode: %q, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
					headers: {"Authorization": "Bearer %s", "Content-Type": "application/json", "Accept": "application/json, text/event-stream"}}).then((r) => r.text(), () => "blocked")`, d.URL+"/mcp", mode, token))
				if strings.Contains(got, "list_apps") || strings.Contains(got, `"result"`) {
					t.Errorf("%s reads it with %s (%s): %s", origin, name, mode, got)
				}
			}
		}
	}
	if code, _ := status(t, d, stolen); code != http.StatusOK {
		t.Errorf("a program with the token gets %d", code)
	}
}
