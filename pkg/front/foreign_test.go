package front

import (
	"net/http"
	"testing"
)

// TestForeign: hosts that are not ours, and only they, are answered by the
// handler for them.
func TestForeign(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Plane", "foreign")
		w.WriteHeader(http.StatusMisdirectedRequest)
	})
	s := start(t, Config{Foreign: page})
	for host, want := range map[string]string{
		"evil.com": "foreign", "127.0.0.2": "foreign", "[::2]:1": "foreign", "localhost.evil.com": "foreign",
		"localhost": "gateway", "a.localhost": "apps", "a..localhost": "",
	} {
		resp, _ := raw(t, s.addr, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if got := resp.Header.Get("X-Plane"); got != want || want == "foreign" && (resp.StatusCode != http.StatusMisdirectedRequest || !resp.Close) {
			t.Errorf("%s: %d by %q, want %q", host, resp.StatusCode, got, want)
		}
	}
}
