package share

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// TestFront checks that every Host leads to the app, and that origins, redirects and cookies
// are rewritten for each side.
func TestFront(t *testing.T) {
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-Origin", r.Header.Get("Origin"))
		w.Header().Set("X-Query", r.URL.RawQuery)
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.Header().Add("Set-Cookie", "a=1; Domain=shop.localhost; Path=/")
		w.Header().Add("Set-Cookie", "b=1; Domain=other.localhost")
	}))
	defer daemon.Close()
	app := &url.URL{Scheme: "http", Host: "shop.localhost:48282"}
	f := NewFront(app, daemon.Listener.Addr().String(), &http.Transport{})
	f.SetPublic(&url.URL{Scheme: "https", Host: "x.example"})
	for to, want := range map[string]string{
		"http://shop.localhost:48282/login": "https://x.example/login", "/login": "/login",
		"http://shop.localhost:482820/": "http://shop.localhost:482820/", "https://elsewhere.example/": "https://elsewhere.example/",
	} {
		r := httptest.NewRequest("GET", "http://localhost/v1/models?a;b&to="+url.QueryEscape(to), nil)
		r.Header.Set("Origin", "https://x.example")
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		h := w.Header()
		if h.Get("X-Host") != app.Host || h.Get("X-Origin") != "http://shop.localhost:48282" || h.Get("X-Query") != r.URL.RawQuery {
			t.Errorf("the app sees %q, %q, %q", h.Get("X-Host"), h.Get("X-Origin"), h.Get("X-Query"))
		}
		if got := h.Get("Location"); got != want {
			t.Errorf("redirect to %s: got %q, want %q", to, got, want)
		}
		if c := h["Set-Cookie"]; c[0] != "a=1; Path=/" || c[1] != "b=1; Domain=other.localhost" {
			t.Errorf("cookies %q", c)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Origin", "https://evil.example")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if got := w.Header().Get("X-Origin"); got != "https://evil.example" {
		t.Errorf("another origin becomes %q", got)
	}
}
