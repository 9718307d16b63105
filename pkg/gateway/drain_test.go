package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway"
)

// TestRefusalOutlivesLargeBody checks that a client which sends its whole body before it
// reads gets the error response.
func TestRefusalOutlivesLargeBody(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config) { c.MaxBody = 1 << 20 })
	w.upstream("openai", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	body := strings.Repeat("a", 16<<20)
	for _, c := range []struct {
		name, line, token, framing string
		status                     int
	}{
		{"too large, with a length", "POST /v1/chat/completions", w.token, "", 413},
		{"too large, chunked", "POST /v1/chat/completions", w.token, "chunked", 413},
		{"too large, no model, chunked", "POST /v1/vector_stores", w.token, "chunked", 413},
		{"no token", "POST /v1/files", "none", "", 401},
		{"no path", "POST /nowhere", w.token, "", 404},
		{"no method", "PUT /v1/embeddings", w.token, "", 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			size, open, end := fmt.Sprintf("Content-Length: %d", len(body)), "", ""
			if c.framing != "" {
				size, open, end = "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n", len(body)), "\r\n0\r\n\r\n"
			}
			if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s\r\n\r\n%s", c.line, c.token, size, open); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, body+end); err != nil {
				t.Fatalf("cut off while sending: %v", err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("got %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
}

// TestRefusalDoesNotWaitForBody checks that a body which never arrives does not delay the
// error.
func TestRefusalDoesNotWaitForBody(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(9 * time.Second))
	if _, err := io.WriteString(conn, "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", resp.StatusCode)
	}
}
