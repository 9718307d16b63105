package control_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/pkg/token"
)

// TestBelowARun sends requests as a process inside a run. It may read, and run apps with no
// more than its own run's scope, but change nothing.
func TestBelowARun(t *testing.T) {
	child := exec.Command("cat") // waits for end of file
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal("a process to be below this one: ", err)
	}
	t.Cleanup(func() { in.Close(); child.Wait() })

	var pid atomic.Int64
	as := func(p int) { pid.Store(int64(p)) }
	as(os.Getpid())
	w := newWorld(t, func(c *control.ServerConfig) {
		c.Peer = func(conn net.Conn) (peer.Cred, error) {
			cred, err := peer.Unix(conn)
			cred.PID = int(pid.Load())
			return cred, err
		}
	})
	// A new client each time: the process of a connection is determined once.
	client := func() *control.Client { return control.NewClient(w.socket) }
	outer, err := client().Lease(t.Context(), control.RouteRequest{Name: "outer", Port: 4001, AutoToken: true, TTL: 3600,
		Scope: control.Scope{AllowedProviders: []string{"openai"}, AllowedModels: []string{"gpt-4o*"}, RateLimit: 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()

	for _, request := range []struct{ method, path, body string }{
		{"POST", "/auth/token", `{"name":"x"}`},
		{"POST", "/auth/refresh", `{"token":"sk_local_x"}`},
		{"POST", "/auth/revoke", `{"token":"sk_local_x"}`},
		{"PUT", "/keys/openai", `{"key":"sk-x"}`},
		{"DELETE", "/keys/openai", ""},
		{"PUT", "/origins", `{"origin":"https://a.example"}`},
		{"DELETE", "/origins", `{"origin":"https://a.example"}`},
		{"PATCH", "/config", `{"port":1}`},
		{"POST", "/stop", ""},
		{"POST", "/routes/register", `{"name":"stays","port":1,"auto_token":true}`},
	} {
		as(child.Process.Pid)
		status, body, _ := w.raw(t, request.method, request.path, request.body, nil)
		if status != http.StatusForbidden || !strings.Contains(body, "outer.localhost") {
			t.Errorf("%s %s from below: %d %s", request.method, request.path, status, body)
		}
		as(os.Getpid())
		if status, body, _ := w.raw(t, request.method, request.path, request.body, nil); status == http.StatusForbidden {
			t.Errorf("%s %s from the run's own client: %d %s", request.method, request.path, status, body)
		}
	}

	as(child.Process.Pid)
	for _, path := range []string{"/status", "/routes", "/keys", "/auth/tokens", "/config", "/origins"} {
		if status, body, _ := w.raw(t, "GET", path, "", nil); status != 200 {
			t.Errorf("GET %s from below: %d %s", path, status, body)
		}
	}
	inner, err := client().Lease(t.Context(), control.RouteRequest{Name: "inner", Port: 4002, AutoToken: true, Scope: control.Scope{AllowedModels: []string{"gpt-4o-mini"}, RateLimit: 99}})
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	if got := inner.Registered().Token; !cmp.Equal(got.Scope, control.Scope{AllowedProviders: []string{"openai"}, AllowedModels: []string{"gpt-4o-mini"}, RateLimit: 10}) || !got.Fixed {
		t.Errorf("the inner run reports %+v", got)
	}
	first, err := w.tokens.Store.Verify(outer.Registered().Token.Token.String, "")
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.tokens.Store.Verify(inner.Registered().Token.Token.String, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := second.Admit(); err != nil {
			t.Errorf("the inner run's request %d: %v", i, err)
		}
	}
	if err := first.Admit(); !fault.Is(err, fault.RateLimited) {
		t.Errorf("the runs' limits add up: %v", err)
	}
	for _, got := range w.tokens.Store.List() {
		if got.Name != "inner" {
			continue
		}
		want := token.Scope{Providers: []string{"openai"}, Models: []string{"gpt-4o-mini"}}
		if diff := cmp.Diff(want, got.Scope); diff != "" || got.RateLimit != 10 || time.Until(got.Expires) > time.Hour {
			t.Errorf("the inner run's token: limit %d, until %v (-want +got):\n%s", got.RateLimit, got.Expires, diff)
		}
	}
	if _, err := client().Lease(t.Context(), control.RouteRequest{Name: "more", Port: 4003, AutoToken: true, Scope: control.Scope{AllowedModels: []string{"gpt-*"}}}); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "gpt-*") {
		t.Errorf("more than its scope: %v", err)
	}
}

// TestEndedCaller sends requests from a process that has ended before it is looked up: it
// exits after sending, or passes its connection to another process.
func TestEndedCaller(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal("a process that ends: ", err)
	}
	var pid atomic.Int64
	pid.Store(int64(ended.Process.Pid))
	w := newWorld(t, func(c *control.ServerConfig) {
		c.Peer = func(conn net.Conn) (peer.Cred, error) {
			cred, err := peer.Unix(conn)
			cred.PID = int(pid.Load())
			return cred, err
		}
	})
	if status, body, _ := w.raw(t, "PUT", "/origins", `{"origin":"https://a.example"}`, nil); status != 200 {
		t.Errorf("without a run: %d %s", status, body)
	}
	pid.Store(int64(os.Getpid()))
	lease, err := control.NewClient(w.socket).Lease(t.Context(), control.RouteRequest{Name: "outer", Port: 4001})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	pid.Store(int64(ended.Process.Pid))
	for _, request := range []struct{ method, path, body string }{
		{"PUT", "/origins", `{"origin":"https://b.example"}`},
		{"DELETE", "/keys/openai", ""},
		{"POST", "/routes/register", `{"name":"stays","port":1,"auto_token":true}`},
		{"POST", "/routes/lease", `{"name":"inner","port":1,"auto_token":true}`},
	} {
		if status, body, _ := w.raw(t, request.method, request.path, request.body, nil); status != http.StatusForbidden {
			t.Errorf("%s %s while there is a run: %d %s", request.method, request.path, status, body)
		}
	}
	if status, body, _ := w.raw(t, "GET", "/status", "", nil); status != 200 {
		t.Errorf("GET /status: %d %s", status, body)
	}
}
