package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/apps/routes"
)

func get(t *testing.T, p *plane, url string, header http.Header) *http.Response {
	t.Helper()
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	host, rest, _ := strings.Cut(url, "/")
	req.Host = host
	req.URL.Opaque = "/" + rest
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// backend starts an app that reports the requests it gets.
func backend(t *testing.T) (port int) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"uri": r.RequestURI, "host": r.Host, "header": r.Header})
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().(*net.TCPAddr).Port
}

type asked struct {
	URI, Host string
	Header    http.Header
}

func TestProxy(t *testing.T) {
	port := backend(t)
	p := newPlane(t)
	ctx := t.Context()
	for _, reg := range []routes.Registration{
		{Name: "app", Port: port}, {Name: "app", Port: port, PathPrefix: "/api"}, {Name: "url", Target: fmt.Sprintf("http://127.0.0.1:%d/base", port)},
		{Name: "keep", Target: fmt.Sprintf("http://127.0.0.1:%d", port), KeepHost: true}, {Name: "wild", Port: port, Wildcard: true},
	} {
		if _, err := p.Register(ctx, reg); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ url, uri, host string }{
		{"app.localhost:48282/a%2Fb/?x=1;y=2&z=%zz", "/a%2Fb/?x=1;y=2&z=%zz", "app.localhost:48282"},
		{"APP.localhost./", "/", "APP.localhost."},
		{"url.localhost/p?q", "/base/p?q", fmt.Sprintf("127.0.0.1:%d", port)},
		{"keep.localhost/p", "/p", "keep.localhost"},
		{"x.y.wild.localhost/", "/", "x.y.wild.localhost"},
	} {
		resp := get(t, p, tt.url, http.Header{"X-Forwarded-For": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}, "X-Forwarded-Host": {"evil"}})
		var got asked
		if err := json.Unmarshal([]byte(body(t, resp)), &got); err != nil {
			t.Fatalf("%s: %d, %v", tt.url, resp.StatusCode, err)
		}
		if got.URI != tt.uri || got.Host != tt.host {
			t.Errorf("%s: got %q for %q, want %q for %q", tt.url, got.URI, got.Host, tt.uri, tt.host)
		}
		if f := got.Header.Get("X-Forwarded-For"); f != "127.0.0.1" {
			t.Errorf("%s: X-Forwarded-For %q", tt.url, f)
		}
		if strings.Contains(fmt.Sprint(got.Header), "6.6.6.6") || strings.Contains(fmt.Sprint(got.Header), "evil") || got.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s: header %v", tt.url, got.Header)
		}
	}
	if resp := get(t, p, "x.app.localhost/", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a name below a route without wildcard: %d", resp.StatusCode)
	}
}

func TestPages(t *testing.T) {
	p := newPlane(t)
	ctx := t.Context()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if _, err := p.Register(ctx, routes.Registration{Name: "gone", Port: closed}); err != nil {
		t.Fatal(err)
	}
	lease, err := p.Lease(ctx, routes.Registration{Name: "slow", Reserve: true, Command: "<b>vite</b>"})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	html := http.Header{"Accept": {"text/html"}}
	for _, tt := range []struct {
		url    string
		header http.Header
		status int
		kind   string
		want   []string
	}{
		{"nope.localhost/", nil, 404, "application/json", []string{"invalid_request_error"}},
		{"nope.localhost/", html, 404, "text/html; charset=utf-8", []string{"hostless run nope", "gone"}},
		{"gone.localhost/", http.Header{"Accept": {"text/plain"}}, 502, "text/plain; charset=utf-8", []string{fmt.Sprint(closed)}},
		{"slow.localhost/", html, 503, "text/html; charset=utf-8", []string{"&lt;b&gt;vite", "is starting"}},
		{"slow.localhost/", nil, 503, "application/json", []string{"upstream_error"}},
		{"gone.localhost/", http.Header{"X-Hostless-Hops": {"5"}}, 508, "application/json", []string{"changeOrigin"}},
	} {
		resp := get(t, p, tt.url, tt.header)
		text := body(t, resp)
		if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.kind {
			t.Errorf("%s: %d, %s; want %d, %s", tt.url, resp.StatusCode, resp.Header.Get("Content-Type"), tt.status, tt.kind)
		}
		if (resp.Header.Get("Retry-After") != "") != (tt.status == 503) {
			t.Errorf("%s: Retry-After %q", tt.url, resp.Header.Get("Retry-After"))
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.url, want, text)
			}
		}
		if len(text) > 20<<10 || (tt.kind[:9] == "text/html" && strings.Contains(text, "<b>vite")) {
			t.Errorf("%s: %d bytes, or not escaped", tt.url, len(text))
		}
	}
	if err := lease.Update(routes.Update{Log: []string{"no database yet"}}); err != nil {
		t.Fatal(err)
	}
	if text := body(t, get(t, p, "slow.localhost/", html)); !strings.Contains(text, "no database yet") {
		t.Errorf("the page of a starting app does not show its output:\n%s", text)
	}
	one := 1
	if err := lease.Update(routes.Update{State: routes.StateExited, Exit: &one, Log: []string{"boom <x>"}}); err != nil {
		t.Fatal(err)
	}
	text := body(t, get(t, p, "slow.localhost/", html))
	if !strings.Contains(text, "exit code 1") || !strings.Contains(text, "boom &lt;x&gt;") {
		t.Errorf("the page of an app that ended:\n%s", text)
	}
}

// TestPageOfAnEndedRun: after a run has ended, the page of its name says how it ended,
// until the name is registered again.
func TestPageOfAnEndedRun(t *testing.T) {
	p := newPlane(t)
	code := func(n int) *int { return &n }
	for _, tt := range []struct {
		name       string
		reg        routes.Registration
		exit       *int
		log        []string
		text, json []string
	}{
		{"a failure", routes.Registration{Port: 4123, Command: "npm run dev", Directory: "/src"}, code(3), []string{"boom"},
			[]string{"shop is not running", "exit code 3", "port 4123", "/src", "  boom\n", "hostless run shop -- npm run dev"}, []string{`"port": 4123`, `"exit": 3`, `"ended_at": "2`, `"boom"`}},
		{"a signal", routes.Registration{Port: 4123}, code(137), nil, []string{"signal 9 (killed)"}, []string{`"exit": 137`}},
		{"no word", routes.Registration{Port: 4123}, nil, nil, []string{"exited without a status"}, []string{`"exit": null`}},
		{"in a terminal", routes.Registration{Port: 4123, Output: routes.OutputTerminal}, code(0), nil, []string{"exit code 0", "in the terminal"}, nil},
		{"in the background", routes.Registration{Port: 4123, Command: "x", Output: routes.OutputLog}, code(1), nil,
			[]string{"hostless logs shop", "hostless run shop --detach -- x"}, nil},
		{"lazy", routes.Registration{Port: 4123, Command: "x", Lazy: true}, code(1), nil, []string{"hostless run shop --lazy -- x"}, nil},
	} {
		tt.reg.Name = "shop"
		lease, err := p.Lease(t.Context(), tt.reg)
		if err != nil {
			t.Fatal(err)
		}
		if tt.exit != nil {
			if err := lease.Update(routes.Update{State: routes.StateExited, Exit: tt.exit, Log: tt.log}); err != nil {
				t.Fatal(err)
			}
		}
		lease.Release()
		text := body(t, get(t, p, "shop.localhost/", http.Header{"Accept": {"text/plain"}}))
		for _, want := range tt.text {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.name, want, text)
			}
		}
		text = body(t, get(t, p, "shop.localhost/", nil))
		for _, want := range tt.json {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in\n%s", tt.name, want, text)
			}
		}
	}
	lease, err := p.Lease(t.Context(), routes.Registration{Name: "shop", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if err := lease.Update(routes.Update{State: routes.StateListening}); err != nil {
		t.Fatal(err)
	}
	if text := body(t, get(t, p, "shop.localhost/", nil)); strings.Contains(text, "last_run") {
		t.Errorf("the next run's page shows the last run:\n%s", text)
	}
}

// TestHeldUntilItListens: a request of a client that is not a browser is held while the
// app starts.
func TestHeldUntilItListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlane(t, func(c *Config) { c.Hold = 5 * time.Second })
		lease, err := p.Lease(t.Context(), routes.Registration{Name: "slow", Target: "unix:/does/not/exist"})
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		start := time.Now()
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://slow.localhost/", nil))
		if w.Code != http.StatusServiceUnavailable || time.Since(start) < 4*time.Second {
			t.Errorf("%d after %v", w.Code, time.Since(start))
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"a.localhost", "a.localhost:1", "[::1]:1", "", "a.localhost.", ".localhost", "A.LOCALHOST:"} {
		f.Add(s)
	}
	p := openPlane(f, options{})
	f.Fuzz(func(t *testing.T, host string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		p.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound && w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%q: %d", host, w.Code)
		}
	})
}
