package front

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestNothingRunsAfterTheEnd checks that no goroutine of the server or of any kind of
// connection is left when Run has returned and the clients have disconnected.
func TestNothingRunsAfterTheEnd(t *testing.T) {
	harness.CheckGoroutines(t)
	hold := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		case "/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		case "/upgrade":
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				io.Copy(io.Discard, c)
				c.Close()
			}
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	})
	s := start(t, Config{Gateway: handler, Apps: handler, CloseDelay: time.Millisecond, Drain: 50 * time.Millisecond, UpgradeGrace: time.Millisecond})
	for _, host := range []string{"localhost", "a.localhost"} {
		for _, text := range []string{
			"GET /kept HTTP/1.1\r\nHost: HOST\r\n\r\n",
			"POST /part HTTP/1.1\r\nHost: HOST\r\nContent-Length: 10\r\n\r\nhalf",
			"POST /chunks HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
			"GET /slow HTTP/1.1\r\nHost: HOST\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: HOST\r\n\r\n", "GET /head HTTP/1.1\r\nHo", "",
			"GET /upgrade HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		} {
			c, _ := dial(t, s.addr)
			io.WriteString(c, strings.ReplaceAll(text, "HOST", host))
			defer c.Close()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for s.InFlight() < 10 && ctx.Err() == nil { // all but the kept one, the partial head and the silent one
		time.Sleep(time.Millisecond)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	close(hold)
}
