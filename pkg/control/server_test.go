package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/peer"
)

// raw sends one request without the client.
func (w *world) raw(t *testing.T, method, path, body string, edit func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.socket)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://hostless"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(req)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), resp.Header
}

func TestErrorsOfTheWire(t *testing.T) {
	w := newWorld(t, nil)
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	tests := []struct {
		name, method, path, body string
		edit                     func(*http.Request)
		status                   int
		typ, says                string
	}{
		{"origin", "GET", "/routes", "", header("Origin", "http://localhost"), 403, "permission_error", "Origin"},
		{"empty origin", "GET", "/routes", "", header("Origin", ""), 403, "permission_error", "Origin"},
		{"referer", "GET", "/nowhere", "", header("Referer", "http://x"), 403, "permission_error", "Referer"},
		{"fetch metadata", "POST", "/auth/token", "{}", header("Sec-Fetch-Mode", "cors"), 403, "permission_error", "Sec-Fetch-Mode"},
		{"foreign host", "GET", "/routes", "", host("evil.example"), 403, "permission_error", "Host"},
		{"app host", "GET", "/routes", "", host("a.localhost"), 403, "permission_error", "Host"},
		{"unknown path", "GET", "/nowhere", "", nil, 404, "invalid_request_error", "no such"},
		{"unclean path", "GET", "//routes", "", nil, 404, "invalid_request_error", "no such"},
		{"trailing slash", "GET", "/routes/", "", nil, 404, "invalid_request_error", "no such"},
		{"wrong method", "DELETE", "/routes", "", nil, 405, "invalid_request_error", "DELETE"},
		{"no JSON", "POST", "/auth/token", "{", nil, 400, "invalid_request_error", "JSON"},
		{"a list", "POST", "/auth/token", "[]", nil, 400, "invalid_request_error", "object"},
		{"two objects", "POST", "/auth/token", "{}{}", nil, 400, "invalid_request_error", "JSON"},
		{"wrong type", "POST", "/auth/token", `{"rate_limit":"many"}`, nil, 400, "invalid_request_error", "rate_limit must be a whole number"},
		{"wrong list", "POST", "/auth/token", `{"allowed_models":"gpt"}`, nil, 400, "invalid_request_error", "allowed_models must be a list"},
		{"wrong entry", "POST", "/auth/token", `{"allowed_models":[5]}`, nil, 400, "invalid_request_error", "allowed_models must be a list of strings"},
		{"wrong token type", "POST", "/auth/revoke", `{"token":5}`, nil, 400, "invalid_request_error", "token must be a string"},
		{"too large", "POST", "/auth/token", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "invalid_request_error", "longer"},
		{"endless ttl", "POST", "/auth/token", `{"ttl":36893488147}`, nil, 400, "invalid_request_error", "ttl"},
		{"endless route ttl", "POST", "/routes/register", `{"name":"a","port":1,"ttl":36893488147}`, nil, 400, "invalid_request_error", "ttl"},
		{"no token", "POST", "/auth/revoke", "", nil, 400, "invalid_request_error", "token is missing"},
		{"unknown token", "POST", "/auth/revoke", `{"token":"sk_local_aaaaaaaa"}`, nil, 404, "invalid_request_error", "no such bridge token"},
		{"short prefix", "POST", "/auth/refresh", `{"token":"sk_local_aa"}`, nil, 400, "invalid_request_error", "8 characters"},
		{"bad origin", "PUT", "/origins", `{"origin":"*"}`, nil, 400, "invalid_request_error", "origin"},
		{"missing origin", "DELETE", "/origins", `{"origin":"http://a"}`, nil, 404, "invalid_request_error", "not in the list"},
		{"bad setting", "PATCH", "/config", `{"echo":"maybe"}`, nil, 400, "invalid_request_error", "on, off"},
		{"missing key", "DELETE", "/keys/openai", "", nil, 404, "invalid_request_error", "openai"},
		{"bad provider", "PUT", "/keys/Canary-Key", `{"key":"k"}`, nil, 400, "invalid_request_error", "provider"},
		{"empty key", "PUT", "/keys/openai", `{}`, nil, 400, "invalid_request_error", "neither a key nor"},
		{"no route", "POST", "/routes/deregister", `{"name":"x"}`, nil, 404, "invalid_request_error", "no route"},
		{"no name", "POST", "/routes/register", `{"port":1}`, nil, 400, "invalid_request_error", "name"},
		{"no port", "POST", "/routes/register", `{"name":"a"}`, nil, 400, "invalid_request_error", "port"},
		{"no lease", "PATCH", "/routes/lease/x", `{}`, nil, 404, "invalid_request_error", "lease"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body, h := w.raw(t, tt.method, tt.path, tt.body, tt.edit)
			var e struct {
				Error struct{ Message, Type string }
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatalf("%d %q: %v", status, body, err)
			}
			if status != tt.status || e.Error.Type != tt.typ || !strings.Contains(e.Error.Message, tt.says) || h.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %+v, want %d %s saying %q", status, e.Error, tt.status, tt.typ, tt.says)
			}
			if status == 405 && h.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestPeerIsChecked(t *testing.T) {
	for name, uid := range map[string]int{"another user": 4242, "root": 0} {
		t.Run(name, func(t *testing.T) {
			mine := 1000
			w := newWorld(t, func(c *control.ServerConfig) {
				c.UID = &mine
				c.Peer = func(net.Conn) (peer.Cred, error) { return peer.Cred{UID: uid}, nil }
			})
			status, body, _ := w.raw(t, "GET", "/status", "", nil)
			if want := map[int]int{4242: 403, 0: 200}[uid]; status != want {
				t.Errorf("uid %d got %d %s, want %d", uid, status, body, want)
			}
		})
	}
	w := newWorld(t, func(c *control.ServerConfig) {
		c.Peer = func(net.Conn) (peer.Cred, error) { return peer.Cred{}, fmt.Errorf("no word") }
	})
	if status, _, _ := w.raw(t, "GET", "/status", "", nil); status != 403 {
		t.Errorf("without the kernel's word: %d, want 403", status)
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(c *control.ServerConfig) {
		c.Daemon = panicking{}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	status, body, _ := w.raw(t, "GET", "/status", "", nil)
	w.stop()
	if status != 500 || strings.Contains(body, "canary") || strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "panicked") {
		t.Errorf("%d %s\nlog: %s", status, body, log.String())
	}
}

type panicking struct{ process }

func (panicking) Status(context.Context) (control.Status, error) { panic("canary") }

func TestShapes(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "/auth/tokens", "", `{"tokens":[]}`},
		{"GET", "/routes", "", `{"routes":[]}`},
		{"GET", "/keys", "", `{"keys":[]}`},
		{"GET", "/origins", "", `{"origins":[],"grants":[]}`},
		{"PUT", "/keys/openai", `{"key":"sk-0123456789abcdefWXYZ"}`, `{"status":"stored","provider":"openai","label":"","base_url":"","storage":"file","hint":"WXYZ","has_key":true,"locked":false}`},
		{"GET", "/keys", "", `{"keys":[{"provider":"openai","label":"","base_url":"","storage":"file","hint":"WXYZ","has_key":true,"locked":false}]}`},
		{"DELETE", "/keys/openai", "", `{"status":"removed","provider":"openai"}`},
		{"PUT", "/origins", `{"origin":"HTTPS://A.example:443"}`, `{"origins":["https://a.example"],"grants":[]}`},
		{"DELETE", "/origins", `{"origin":"https://a.example/"}`, `{"origins":[],"grants":[]}`},
		{"PATCH", "/config", `{"echo":"off","unknown-later":null}`, ""},
		{"POST", "/routes/register", `{"name":"a","port":3000,"later":1}`, `{"hostname":"a.localhost","url":"http://a.localhost:48282","target_port":3000,"pid":0,"token":null}`},
		{"POST", "/routes/deregister", `{"name":"a"}`, `{"removed":true,"hostname":"a.localhost","app_name":"a"}`},
		{"POST", "/reload", "", `{"status":"reloaded"}`},
		{"POST", "/stop", "", `{"status":"stopping"}`},
	} {
		_, body, _ := w.raw(t, tt.method, tt.path, tt.body, nil)
		if tt.want != "" && strings.TrimSpace(body) != tt.want {
			t.Errorf("%s %s:\n got %s want %s", tt.method, tt.path, body, tt.want)
		}
	}
	<-w.proc.stopped
	<-w.proc.reloaded
}

func TestRouteAndTokenAreOne(t *testing.T) {
	w := newWorld(t, nil)
	c := control.NewClient(w.socket)
	reg, err := c.Register(t.Context(), control.RouteRequest{Name: "a", Port: 3000, AutoToken: true, Scope: control.Scope{AllowedModels: []string{"gpt*"}}})
	if err != nil || reg.Token == nil || reg.Token.Origin != "http://a.localhost:48282" || reg.Token.ExpiresIn != 86400 {
		t.Fatalf("register = %+v, %v", reg, err)
	}
	g, err := w.tokens.Verify(reg.Token.Token.String, "https://a.localhost:48282")
	if err != nil || g.Scope().Model("openai", "o3") {
		t.Fatalf("the app's token: %v", err)
	}
	if _, err := c.Deregister(t.Context(), control.RouteName{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	<-g.Done()
	// If the token cannot be created, no route is left.
	if _, err := c.Register(t.Context(), control.RouteRequest{Name: "b", Port: 1, AutoToken: true, TTL: -1}); !fault.Is(err, fault.Invalid) {
		t.Errorf("bad ttl: %v", err)
	}
	list, _ := c.Routes(t.Context())
	if diff := cmp.Diff([]control.Route{}, list.Routes); diff != "" {
		t.Errorf("left behind: %s", diff)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := control.NewSecret("canary")
	req := control.KeyRequest{Key: s}
	out := fmt.Sprintf("%v %+v %#v %s %q", req, req, req, s, s)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s)
	if strings.Contains(out+log.String(), "canary") {
		t.Errorf("printed: %s %s", out, log.String())
	}
	if data, _ := json.Marshal(req); !strings.Contains(string(data), `"key":"canary"`) {
		t.Errorf("JSON: %s", data)
	}
}
