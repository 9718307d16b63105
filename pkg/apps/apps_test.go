package apps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/apps"
	"github.com/hostless/hostless/pkg/fault"
)

func newPlane(t *testing.T, path string, change ...func(*apps.Config)) *apps.Plane {
	t.Helper()
	cfg := apps.Config{Path: path, URL: func(host string) string { return "http://" + host + ":48282" }, Hold: 200 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	p, warnings, err := apps.New(cfg)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("New: %v, %v", err, warnings)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]string{
		"3000": "localhost:3000", "127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "http://example.com": "http://example.com:80",
		"https://example.com:8443/base/": "https://example.com:8443/base", "unix:/run/app.sock": "unix:/run/app.sock", "unix:///run/app.sock": "unix:/run/app.sock",
	} {
		got, err := apps.ParseTarget(in)
		if err != nil || got.String() != want {
			t.Errorf("ParseTarget(%q) = %q, %v; want %q", in, got, err, want)
		}
		if again, err := apps.ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%q does not read back: %+v, %v", got, again, err)
		}
	}
	for _, bad := range []string{"", "0", "65536", "host", "host:", ":80", "ftp://x", "http://", "http://u:p@x", "http://x?q", "unix:rel", "a b:80", "http://x:0", "http://x:65536"} {
		if got, err := apps.ParseTarget(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseTarget(%q) = %+v, %v; want an invalid fault", bad, got, err)
		}
	}
}

func TestStandingRoutesOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	p := newPlane(t, path)
	ctx := t.Context()
	for _, reg := range []apps.Registration{
		{Name: "db", Port: 5050, Alias: true}, {Name: "api.shop", Target: "https://example.com/x", KeepHost: true, Insecure: true, PathPrefix: "/v1/"},
	} {
		if _, err := p.Register(ctx, reg); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := p.Lease(ctx, apps.Registration{Name: "run", Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	again := newPlane(t, path).List()
	var got []string
	for _, r := range again {
		got = append(got, fmt.Sprint(r.Hostname, r.PathPrefix, " ", r.Target, " ", r.KeepHost, r.Insecure, r.Alias))
	}
	want := []string{"api.shop.localhost/v1 https://example.com:443/x true true false", "db.localhost localhost:5050 false false true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestCorruptTableIsKeptAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	os.WriteFile(path, []byte(`{"version":1,"rou`), 0o600)
	p, warnings, err := apps.New(apps.Config{Path: path, URL: func(string) string { return "" }})
	if err != nil || len(warnings) != 1 || p.Len() != 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	if kept, _ := filepath.Glob(path + ".corrupt-*"); len(kept) != 1 {
		t.Errorf("kept: %v", kept)
	}
}

// TestOwners: who may take whose name.
func TestOwners(t *testing.T) {
	p := newPlane(t, "")
	ctx := t.Context()
	conflict := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
	if _, err := p.Register(ctx, apps.Registration{Name: "a", Port: 1001}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Register(ctx, apps.Registration{Name: "A", Port: 1002}); err != nil {
		t.Errorf("a standing route is not replaced by another: %v", err)
	}
	_, err := p.Lease(ctx, apps.Registration{Name: "a", Port: 1003})
	conflict("a run on an alias", err)
	lease, err := p.Lease(ctx, apps.Registration{Name: "a", Port: 1003, Force: true, Command: "vite"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Lease(ctx, apps.Registration{Name: "a", Port: 1004})
	conflict("a run on a run", err)
	if err == nil || !strings.Contains(err.Error(), "vite") {
		t.Errorf("the refusal does not say who: %v", err)
	}
	_, err = p.Register(ctx, apps.Registration{Name: "a", Port: 1004})
	conflict("an alias on a run", err)
	_, err = p.Deregister(ctx, "a", "")
	conflict("removing a run", err)

	// With force the run is told to end, and its name is free once it has.
	go func() {
		if ev := <-lease.Events(); ev.Kind == apps.EventEvicted {
			lease.Release()
		}
	}()
	second, err := p.Lease(ctx, apps.Registration{Name: "a", Port: 1005, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
	second.Release()
	if p.Len() != 0 {
		t.Errorf("%d routes are left", p.Len())
	}
	if _, err := p.Deregister(ctx, "a", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("removing nothing: %v", err)
	}
}

// TestForceTakesThePortToo: the run that takes a name gets the port that the one
// before had, once that has ended.
func TestForceTakesThePortToo(t *testing.T) {
	p := newPlane(t, "")
	lease, err := p.Lease(t.Context(), apps.Registration{Name: "a", Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	port := lease.Route().Target.Port()
	app, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Skip("somebody else was faster: ", err)
	}
	go func() {
		<-lease.Events()
		app.Close()
		lease.Release()
	}()
	second, err := p.Lease(t.Context(), apps.Registration{Name: "a", Reserve: true, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if got := second.Route().Target.Port(); got != port {
		t.Errorf("port %d, want %d", got, port)
	}
}

func TestAProcessTakesItsRouteAlong(t *testing.T) {
	dropped := make(chan string, 1)
	p := newPlane(t, "", func(c *apps.Config) { c.Dropped = func(r apps.Route) { dropped <- r.Hostname } })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Register(ctx, apps.Registration{Name: "p", Port: 1001, PID: child.Process.Pid}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Register(ctx, apps.Registration{Name: "p", Port: 1002}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a live process lost its name: %v", err)
	}
	child.Process.Kill()
	child.Wait()
	select {
	case <-dropped:
	case <-time.After(10 * time.Second):
		t.Error("the route is still there")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := p.Register(t.Context(), apps.Registration{Name: "p", Port: 1, PID: child.Process.Pid}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a dead owner was taken: %v", err)
	}
}

func get(t *testing.T, p *apps.Plane, url string, header http.Header) *http.Response {
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

// backend tells what it was asked.
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
	p := newPlane(t, "")
	ctx := t.Context()
	for _, reg := range []apps.Registration{
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
			t.Errorf("%s: asked %q of %q, want %q of %q", tt.url, got.URI, got.Host, tt.uri, tt.host)
		}
		if f := got.Header.Get("X-Forwarded-For"); f != "127.0.0.1" {
			t.Errorf("%s: X-Forwarded-For %q", tt.url, f)
		}
		if strings.Contains(fmt.Sprint(got.Header), "6.6.6.6") || strings.Contains(fmt.Sprint(got.Header), "evil") || got.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s: header %v", tt.url, got.Header)
		}
	}
	if resp := get(t, p, "x.app.localhost/", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a name below one without wildcard: %d", resp.StatusCode)
	}
}

func TestPages(t *testing.T) {
	p := newPlane(t, "")
	ctx := t.Context()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if _, err := p.Register(ctx, apps.Registration{Name: "gone", Port: closed}); err != nil {
		t.Fatal(err)
	}
	lease, err := p.Lease(ctx, apps.Registration{Name: "slow", Reserve: true, Command: "<b>vite</b>"})
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
	if err := lease.Update(apps.Update{Log: []string{"no database yet"}}); err != nil {
		t.Fatal(err)
	}
	if text := body(t, get(t, p, "slow.localhost/", html)); !strings.Contains(text, "no database yet") {
		t.Errorf("the page of an app that starts does not tell what it prints:\n%s", text)
	}
	one := 1
	if err := lease.Update(apps.Update{State: apps.StateExited, Exit: &one, Log: []string{"boom <x>"}}); err != nil {
		t.Fatal(err)
	}
	text := body(t, get(t, p, "slow.localhost/", html))
	if !strings.Contains(text, "exit code 1") || !strings.Contains(text, "boom &lt;x&gt;") {
		t.Errorf("the page of an app that ended:\n%s", text)
	}
}

// TestPageOfAnEndedRun: the page of a name whose run is gone tells how it ended,
// until the name is taken again.
func TestPageOfAnEndedRun(t *testing.T) {
	p := newPlane(t, "")
	code := func(n int) *int { return &n }
	for _, tt := range []struct {
		name       string
		reg        apps.Registration
		exit       *int
		log        []string
		text, json []string
	}{
		{"a failure", apps.Registration{Port: 4123, Command: "npm run dev", Directory: "/src"}, code(3), []string{"boom"},
			[]string{"shop is not running", "exit code 3", "port 4123", "/src", "  boom\n", "hostless run shop -- npm run dev"}, []string{`"port": 4123`, `"exit": 3`, `"ended_at": "2`, `"boom"`}},
		{"a signal", apps.Registration{Port: 4123}, code(137), nil, []string{"signal 9 (killed)"}, []string{`"exit": 137`}},
		{"no word", apps.Registration{Port: 4123}, nil, nil, []string{"without a word"}, []string{`"exit": null`}},
		{"in a terminal", apps.Registration{Port: 4123, Output: apps.OutputTerminal}, code(0), nil, []string{"exit code 0", "in the terminal"}, nil},
		{"in the background", apps.Registration{Port: 4123, Command: "x", Output: apps.OutputLog}, code(1), nil,
			[]string{"hostless logs shop", "hostless run shop --detach -- x"}, nil},
		{"lazy", apps.Registration{Port: 4123, Command: "x", Lazy: true}, code(1), nil, []string{"hostless run shop --lazy -- x"}, nil},
	} {
		tt.reg.Name = "shop"
		lease, err := p.Lease(t.Context(), tt.reg)
		if err != nil {
			t.Fatal(err)
		}
		if tt.exit != nil {
			if err := lease.Update(apps.Update{State: apps.StateExited, Exit: tt.exit, Log: tt.log}); err != nil {
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
	lease, err := p.Lease(t.Context(), apps.Registration{Name: "shop", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if err := lease.Update(apps.Update{State: apps.StateListening}); err != nil {
		t.Fatal(err)
	}
	if text := body(t, get(t, p, "shop.localhost/", nil)); strings.Contains(text, "last_run") {
		t.Errorf("the next run's page tells of the last one:\n%s", text)
	}
}

// TestHeldUntilItListens: a client that is no browser waits for an app that starts.
func TestHeldUntilItListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlane(t, "", func(c *apps.Config) { c.Hold = 5 * time.Second })
		lease, err := p.Lease(t.Context(), apps.Registration{Name: "slow", Target: "unix:/does/not/exist"})
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Release()
		begun := time.Now()
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://slow.localhost/", nil))
		if w.Code != http.StatusServiceUnavailable || time.Since(begun) < 4*time.Second {
			t.Errorf("%d after %v", w.Code, time.Since(begun))
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"a.localhost", "a.localhost:1", "[::1]:1", "", "a.localhost.", ".localhost", "A.LOCALHOST:"} {
		f.Add(s)
	}
	p, _, err := apps.New(apps.Config{URL: func(string) string { return "" }})
	if err != nil {
		f.Fatal(err)
	}
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
