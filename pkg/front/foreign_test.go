package front

import (
	"io"
	"net/http"
	"testing"
)

// TestForeign checks that requests for other hosts, and only these, go to the Foreign
// handler.
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

// TestAbsoluteTargets checks that planes get absolute-form targets in origin-form, byte for
// byte.
func TestAbsoluteTargets(t *testing.T) {
	s := start(t, Config{Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path+" "+r.RequestURI)
	})})
	for target, want := range map[string]string{
		"http://a.localhost": "/ /", "http://a.localhost?": "/ /?", "http://a.localhost?b=1;c": "/ /?b=1;c", "http://a.localhost/": "/ /",
		"http://a.localhost//x/../%2F\xff|?q=\xfe%zz": "//x/..//\xff| //x/../%2F\xff|?q=\xfe%zz", "http://a.localhost/x?": "/x /x?",
	} {
		if resp, got := raw(t, s.addr, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); got != want {
			t.Errorf("%q: %d %q, want %q", target, resp.StatusCode, got, want)
		}
	}
}
