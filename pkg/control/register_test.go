package control_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// TestRegisterIsBothOrNone checks that if the registration of a route with a token fails,
// the route that it replaced is restored and its token remains valid.
func TestRegisterIsBothOrNone(t *testing.T) {
	w := newWorld(t, nil)
	c := control.NewClient(w.socket)
	ctx := t.Context()
	old, err := c.Register(ctx, control.RouteRequest{Name: "shop", Target: "127.0.0.1:4000", AutoToken: true})
	if err != nil {
		t.Fatal(err)
	}
	stands := func(when string) {
		t.Helper()
		l, err := c.Routes(ctx)
		if err != nil || len(l.Routes) != 1 || l.Routes[0].Target != "127.0.0.1:4000" {
			t.Errorf("%s: routes %+v, %v", when, l.Routes, err)
		}
		if _, err := w.tokens.Verify(old.Token.Token.String, ""); err != nil {
			t.Errorf("%s: the token of the route that stands: %v", when, err)
		}
		if n := w.tokens.Live(); n != 1 {
			t.Errorf("%s: %d live tokens, want 1", when, n)
		}
	}
	for name, scope := range map[string]control.Scope{
		"bad model": {AllowedModels: []string{"a*b"}}, "bad provider": {AllowedProviders: []string{"a*b"}}, "bad limit": {RateLimit: -1},
	} {
		_, err := c.Register(ctx, control.RouteRequest{Name: "shop", Target: "127.0.0.1:5000", AutoToken: true, Scope: scope})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		stands(name)
	}
	w.tokens.full.Store(true)
	if _, err := c.Register(ctx, control.RouteRequest{Name: "shop", Target: "127.0.0.1:5000", AutoToken: true}); err == nil {
		t.Error("registered without a token")
	}
	stands("no room for a token")
	w.tokens.full.Store(false)
	if _, err := c.Register(ctx, control.RouteRequest{Name: "shop", Target: "127.0.0.1:5000", AutoToken: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.tokens.Verify(old.Token.Token.String, ""); err == nil {
		t.Error("the token of the replaced route is still valid")
	}
}
