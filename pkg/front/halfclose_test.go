package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestClientThatEndedItsSide checks that a half-closed client gets its response as long as
// its socket is open, and counts as disconnected afterwards.
func TestClientThatEndedItsSide(t *testing.T) {
	var gone atomic.Bool
	asked := make(chan struct{}, 1) // one value for each lookup of the peer
	arrived, answer, cancelled := make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 1)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-answer:
			io.WriteString(w, "answered")
		case <-r.Context().Done():
			cancelled <- struct{}{}
		}
	})
	s := start(t, Config{Apps: app, Peer: func(net.Conn) (int, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		if gone.Load() {
			return UnknownUID, errors.New("gone")
		}
		return 1000, nil
	}})
	ask := func(text string) *net.TCPConn {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, text)
		<-arrived
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		return c.(*net.TCPConn)
	}
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 2\r\n\r\nab",
		"GET / HTTP/1.0\r\nHost: a.localhost\r\n\r\n",
	} {
		c := ask(text)
		for range 3 { // the first may be from an earlier lookup
			select {
			case <-cancelled:
				t.Fatalf("%.4s: the request was cancelled", text)
			case <-asked:
			}
		}
		answer <- struct{}{}
		if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "answered") {
			t.Errorf("%.4s: %q, %v", text, got, err)
		}
	}
	ask("GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
	gone.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-cancelled:
	case <-ctx.Done():
		t.Error("a client that disconnected did not cancel its request")
	}
}
