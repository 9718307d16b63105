package control_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/test/harness"
)

// TestNothingRunsAfterTheEnd checks that no goroutine is left of requests, leases that end
// in each way, followers, and a server that ends before them.
func TestNothingRunsAfterTheEnd(t *testing.T) {
	harness.CheckGoroutines(t)
	log, err := audit.New(audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w := newWorld(t, func(c *control.ServerConfig) { c.Audit = log })
	c := control.NewClient(w.socket)
	t.Cleanup(c.CloseIdle)
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.raw(t, "GET", "/nowhere", "", nil)

	lease := func(ctx context.Context, name string) *control.Lease {
		l, err := c.Lease(ctx, control.RouteRequest{Name: name, Port: 4001, AutoToken: true})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	cut, cancel := context.WithCancel(t.Context())
	closed, ofCut, released, held := lease(t.Context(), "closed"), lease(cut, "cut"), lease(t.Context(), "released"), lease(t.Context(), "held")
	closed.Close()
	cancel()
	<-ofCut.Done()
	if err := released.Release(t.Context()); err != nil {
		t.Error(err)
	}
	for range 3 {
		<-w.routes.released
	}

	followed := make(chan error, 2)
	follow := func(ctx context.Context) {
		first := make(chan struct{}, 64)
		go func() {
			followed <- c.FollowAudit(ctx, 1, func(audit.Entry) error { first <- struct{}{}; return nil })
		}()
		<-first
	}
	gone, leave := context.WithCancel(t.Context())
	follow(gone)
	leave()
	<-followed
	follow(t.Context())

	w.stop()
	<-held.Done()
	<-followed
}
