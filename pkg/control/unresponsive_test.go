package control_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// TestUnresponsive checks that each kind of request gives up on a socket that listens but
// is never served, like that of a service manager whose service cannot start.
func TestUnresponsive(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "c.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := control.NewClient(socket, control.WithSuspectAfter(50*time.Millisecond), control.WithDialer(
		func(ctx context.Context, socket string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}))
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for name, request := range map[string]func() error{
		"status": func() error { _, err := client.Status(ctx); return err },
		"routes": func() error { _, err := client.Routes(ctx); return err },
		"lease": func() error {
			_, err := client.Lease(ctx, control.RouteRequest{Name: "shop", Reserve: true})
			return err
		},
	} {
		err := request()
		if !fault.Is(err, fault.Unreachable) || !strings.Contains(err.Error(), "does not answer") || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
