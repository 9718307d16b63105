package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/token"
)

func TestCORS(t *testing.T) {
	w := newWorld(t)
	w.settings.Origins = []string{"https://listed.example", "chrome-extension://abcdefgh", "tauri://localhost"}
	w.mint(token.Request{Origin: "https://owned.example"})
	chat := `{"model":"echo/text","messages":[{"role":"user","content":"x"}]}`
	for origin, allowed := range map[string]bool{
		"http://localhost": true, "http://localhost:5173": true, "https://localhost:1": true, "http://127.0.0.1:3000": true, "http://[::1]:3000": true,
		"http://app.localhost:48282": true, "https://a.b.localhost": true, "https://listed.example": true, "https://owned.example": true, "chrome-extension://abcdefgh": true, "tauri://localhost": true,
		"https://evil.example": false, "https://listed.example.evil": false, "https://listed.example:444": false, "null": false, "http://localhost.evil.example": false,
		"http://xlocalhost": false, "file://": false, "chrome-extension://other": false, "capacitor://localhost": false, "http://localhost:1@evil.example": false, "http://evil.example/.localhost": false, "http://127.0.0.2": false, "http://.localhost.": false,
	} {
		a := w.do("OPTIONS", "/v1/chat/completions", "", "Authorization", "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,x-stainless-lang", "Access-Control-Request-Private-Network", "true", "Access-Control-Request-Local-Network", "true")
		h := a.header
		if allowed {
			if a.status != 204 || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Methods") != "POST, GET, OPTIONS" || h.Get("Access-Control-Allow-Headers") != "authorization,x-stainless-lang" ||
				h.Get("Access-Control-Allow-Private-Network") != "true" || h.Get("Access-Control-Allow-Local-Network") != "true" || !strings.Contains(h.Get("Vary"), "Origin") {
				t.Errorf("%s: preflight %d %v", origin, a.status, h)
			}
		} else if noCORS(t, origin, h); a.status >= 500 {
			t.Errorf("%s: %d", origin, a.status)
		}
		a = w.do("POST", "/v1/chat/completions", chat, "Origin", origin)
		if allowed {
			if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "x-hostless-error") || !strings.Contains(a.header.Get("Vary"), "Origin") {
				t.Errorf("%s: %d %v", origin, a.status, a.header)
			}
		} else {
			noCORS(t, origin, a.header)
		}
		for _, v := range a.header["Access-Control-Allow-Credentials"] {
			t.Errorf("credentials allowed: %s", v)
		}
		if a = w.do("POST", "/v1/chat/completions", chat, "Origin", origin, "Authorization", ""); (a.header.Get("Access-Control-Allow-Origin") != "") != allowed || a.status != 401 {
			t.Errorf("%s without a token: %d %v", origin, a.status, a.header)
		}
	}
	if a := w.do("OPTIONS", "/v1/files/x", "", "Origin", "http://localhost", "Access-Control-Request-Method", "DELETE"); !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "DELETE") {
		t.Errorf("methods %v", a.header)
	}
	if a := w.do("OPTIONS", "/auth/token", "", "Origin", "http://localhost", "Access-Control-Request-Method", "POST"); a.status != 404 {
		t.Errorf("a control path's preflight: %d", a.status)
	}
}

func noCORS(t *testing.T, origin string, h http.Header) {
	t.Helper()
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s got %s", origin, name)
		}
	}
}

func TestDevMode(t *testing.T) {
	own := true
	w := newWorld(t, func(c *gateway.Config) {
		c.DevMode = true
		c.Owner = func(*http.Request) bool { return own }
	})
	chat := `{"model":"echo/text","messages":[{"role":"user","content":"x"}]}`
	for _, tt := range []struct {
		headers []string
		own     bool
		status  int
	}{
		{nil, true, 200},
		{[]string{"Authorization", "Bearer whatever"}, true, 200},
		{[]string{"Authorization", "Bearer sk_local_unknown"}, true, 401},
		{[]string{"Origin", "http://localhost:3000"}, true, 200},
		{[]string{"Origin", "http://app.localhost:3000"}, true, 401},
		{[]string{"Origin", "https://evil.example"}, true, 401},
		{[]string{"Origin", "null"}, true, 401},
		{[]string{"Sec-Fetch-Site", "cross-site"}, true, 403},
		{nil, false, 401},
	} {
		own = tt.own
		a := w.do("POST", "/v1/chat/completions", chat, append([]string{"Authorization", ""}, tt.headers...)...)
		if a.status != tt.status {
			t.Errorf("%v own %v: %d, want %d", tt.headers, tt.own, a.status, tt.status)
		}
	}
}
