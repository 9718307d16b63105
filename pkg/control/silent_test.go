package control_test

import (
	"net"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
)

// TestSilentClientDoesNotDelayTheEnd checks that the server does not wait for a connection
// on which nothing was sent, as net/http does for five seconds.
func TestSilentClientDoesNotDelayTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	conn, err := net.Dial("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := control.NewClient(w.socket) // accepted after it
	defer c.CloseIdle()
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.CloseIdle()
	start := time.Now()
	w.stop()
	if took := time.Since(start); took >= 4*time.Second {
		t.Errorf("the server took %v to end", took)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection is still served")
	}
}
