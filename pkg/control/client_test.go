package control_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

func TestClient(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	c := control.NewClient(w.socket, control.WithUserAgent("test"))
	if s, err := c.Status(ctx); err != nil || s.Version != "test" || s.Providers == nil {
		t.Errorf("Status = %+v, %v", s, err)
	}
	var raw []byte
	tok, err := c.Keep(&raw).CreateToken(ctx, control.TokenRequest{Name: "n", TTL: 60})
	if err != nil || tok.Origin != "*" || tok.ExpiresIn != 60 || tok.AllowedModels == nil || !strings.Contains(string(raw), tok.Token.Reveal()) {
		t.Errorf("CreateToken = %+v, %v, raw %s", tok, err, raw)
	}
	if r, err := c.RefreshToken(ctx, control.NewSecret(tok.Token.Reveal()[:17])); err != nil || r.Status != "refreshed" || r.ExpiresIn != 60 {
		t.Errorf("RefreshToken = %+v, %v", r, err)
	}
	if l, err := c.Tokens(ctx); err != nil || len(l.Tokens) != 1 || l.Tokens[0].Prefix != tok.Token.Reveal()[:17] || l.Tokens[0].AppName != "n" {
		t.Errorf("Tokens = %+v, %v", l, err)
	}
	if o, err := c.RevokeToken(ctx, tok.Token); err != nil || o.Status != "revoked" {
		t.Errorf("RevokeToken = %+v, %v", o, err)
	}
	if k, err := c.PutKey(ctx, "my-llm", control.KeyRequest{Key: control.NewSecret("k"), BaseURL: "https://x/v1", Dialect: "anthropic"}); err != nil || k.Dialect != "anthropic" {
		t.Errorf("PutKey = %+v, %v", k, err)
	}
	if _, err := c.DeleteKey(ctx, "my-llm"); err != nil {
		t.Error(err)
	}
	if l, err := c.AddOrigin(ctx, "https://a.example"); err != nil || len(l.Origins) != 1 {
		t.Errorf("AddOrigin = %+v, %v", l, err)
	}
	if v, err := c.SetConfig(ctx, control.ConfigValues{"echo": []byte(`"off"`)}); err != nil || string(v["echo"]) != `"off"` {
		t.Errorf("SetConfig = %s, %v", v, err)
	}
	_, err = c.Deregister(ctx, control.RouteName{Name: "none"})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.NotFound || f.Message != "no route none" {
		t.Errorf("an error of the daemon: %#v", err)
	}
}

func TestUnreachableSaysWhy(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "hlc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	ln, err := net.Listen("unix", at("stale"))
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	os.Chmod(at("stale"), 0o600)
	os.WriteFile(at("file"), nil, 0o600)
	os.Symlink(at("stale"), at("link"))
	open, err := net.Listen("unix", at("open"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	os.Chmod(at("open"), 0o777)
	hangup, err := net.Listen("unix", at("hangup"))
	if err != nil {
		t.Fatal(err)
	}
	defer hangup.Close()
	os.Chmod(at("hangup"), 0o600)
	os.Symlink(dir, at("folder"))
	go func() {
		for {
			c, err := hangup.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for name, says := range map[string]string{
		"absent":         "there is no control socket",
		"no/such/folder": "there is no control socket",
		"stale":          "nothing listens on",
		"file":           "a plain file",
		"link":           "a symbolic link",
		"open":           "written to by others",
		"hangup":         "before it responded",
		"folder/hangup":  "its directory is a symbolic link",
		"theirs/socket":  "belongs to uid 12345",
	} {
		if name == "theirs/socket" && !another(t, at("theirs")) {
			continue
		}
		_, err := control.NewClient(at(name)).Status(t.Context())
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unreachable || !strings.Contains(f.Message, says) || f.Next == "" {
			t.Errorf("%s: %v, want one that says %q", name, err, says)
		}
	}
}

// another makes a directory with a socket as another user would own it. Only root can do
// that.
func another(t *testing.T, folder string) bool {
	if os.Getuid() != 0 {
		return false
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(folder, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	os.Chmod(filepath.Join(folder, "socket"), 0o600)
	return os.Chown(folder, 12345, 12345) == nil
}

func TestLeaseLivesAsLongAsItsConnection(t *testing.T) {
	w := newWorld(t, nil)
	c := control.NewClient(w.socket)
	l, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 4001, AutoToken: true})
	if err != nil {
		t.Fatal(err)
	}
	reg := l.Registered()
	g, err := w.tokens.Verify(reg.Token.Token.String, "")
	if err != nil || w.server.Leases() != 1 {
		t.Fatalf("%v, %d leases", err, w.server.Leases())
	}
	code := 3
	if err := l.Update(t.Context(), control.LeaseUpdate{Port: 5173, State: control.StateExited, Exit: &code, Log: []string{"bye"}}); err != nil {
		t.Fatal(err)
	}
	if u := <-w.routes.updates; u.Port != 5173 || *u.Exit != 3 || u.Log[0] != "bye" {
		t.Errorf("update: %+v", u)
	}
	if err := l.Update(t.Context(), control.LeaseUpdate{State: "dancing"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("bad state: %v", err)
	}
	if _, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 4002}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "pid 7") {
		t.Errorf("taken: %v", err)
	}
	l.Close()
	if id := <-w.routes.released; id != reg.LeaseID {
		t.Errorf("released %s, want %s", id, reg.LeaseID)
	}
	<-g.Done()
	if l.Err() != nil {
		t.Errorf("after Close: %v", l.Err())
	}
	if _, open := <-l.Events(); open {
		t.Error("events stay open")
	}
}

// TestLeaseReleaseIsOver checks that when Release returns the name is free and the token is
// revoked.
func TestLeaseReleaseIsOver(t *testing.T) {
	w := newWorld(t, nil)
	c := control.NewClient(w.socket)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := c.Lease(ctx, control.RouteRequest{Name: "app", Port: 4001, AutoToken: true})
		if err != nil {
			t.Fatalf("the name is not free: %v", err)
		}
		cancel() // as a run does, which ends its stream first
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.tokens.Verify(l.Registered().Token.Token.String, ""); err == nil || w.server.Leases() != 0 {
			t.Fatalf("after Release: token %v, %d leases", err, w.server.Leases())
		}
		<-w.routes.released
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("a second Release: %v", err)
		}
	}
}

func TestLeaseIsEvicted(t *testing.T) {
	w := newWorld(t, nil)
	c := control.NewClient(w.socket)
	first, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 1, AutoToken: true})
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 2, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if e := <-first.Events(); e.Event != control.EventEvicted {
		t.Errorf("event %+v", e)
	}
	first.Close()
	if id := <-w.routes.released; id != first.Registered().LeaseID {
		t.Errorf("released %s", id)
	}
}

func TestLeaseSurvivesItsDaemon(t *testing.T) {
	old := newWorld(t, nil)
	l, err := control.NewClient(old.socket).Lease(t.Context(), control.RouteRequest{Name: "app", Port: 1, AutoToken: true})
	if err != nil {
		t.Fatal(err)
	}
	held := l.Registered().Token.Token
	old.stop()
	<-l.Done()
	if !fault.Is(l.Err(), fault.Unreachable) {
		t.Errorf("Err = %v, want unreachable", l.Err())
	}
	if _, err := old.tokens.Verify(held.String, ""); err != nil {
		t.Errorf("a daemon that ends revoked the token: %v", err)
	}

	now := newWorld(t, nil)
	c := control.NewClient(now.socket)
	again, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 1, Token: held})
	if err != nil || again.Registered().Token == nil || !again.Registered().Token.Token.Equal(held.String) {
		t.Fatalf("taking up: %+v, %v", again, err)
	}
	if _, err := now.tokens.Verify(held.String, "http://app.localhost:48282"); err != nil {
		t.Errorf("the old token: %v", err)
	}
	// A newer lease that has restored the token keeps it when the older one ends.
	newer, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 1, Token: held, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	<-now.routes.released
	if _, err := now.tokens.Verify(held.String, ""); err != nil {
		t.Errorf("the older lease's end took the token along: %v", err)
	}
	if err := now.tokens.Store.Revoke(t.Context(), held.String); err != nil {
		t.Fatal(err)
	}
	newer.Close()
	<-now.routes.released
	last, err := c.Lease(t.Context(), control.RouteRequest{Name: "app", Port: 1, Token: held})
	if err != nil || last.Registered().Token != nil {
		t.Errorf("a revoked token came back: %+v, %v", last.Registered(), err)
	}
	last.Close()
	if _, err := c.Lease(t.Context(), control.RouteRequest{Name: "b", Port: 1, Token: control.NewSecret("weak")}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a weak token: %v", err)
	}
}

func TestLeaseEndsWithItsContext(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	l, err := control.NewClient(w.socket).Lease(ctx, control.RouteRequest{Name: "app", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-l.Done()
	<-w.routes.released
	if !errors.Is(l.Err(), context.Canceled) {
		t.Errorf("Err = %v", l.Err())
	}
}
