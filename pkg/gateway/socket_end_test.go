package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const closeWithin = 10 * time.Second // far more than the timeout for closing

// TestSocketsEnd checks that nothing of a WebSocket is left after either end has closed it,
// with or without a close frame.
func TestSocketsEnd(t *testing.T) {
	w := newWorld(t)
	ended := make(chan struct{}, 1)
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		defer func() { ended <- struct{}{} }()
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return // the close was acknowledged
			}
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		}
	})
	for name, end := range map[string]func(*websocket.Conn){
		"the caller closes": func(c *websocket.Conn) {
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"), time.Now().Add(time.Second))
			c.ReadMessage()
		},
		"the caller disconnects": func(c *websocket.Conn) { c.NetConn().Close() },
		"the provider closes":    func(c *websocket.Conn) { send(t, c, `{"type":"hang.up"}`); c.ReadMessage() },
	} {
		c, _, err := w.dial("/v1/realtime?model=m")
		if err != nil {
			t.Fatal(err)
		}
		end(c)
		limit := time.After(closeWithin)
		select {
		case <-ended:
		case <-limit:
			t.Fatalf("%s: the provider's end is still open", name)
		}
		for w.gw.InFlight() > 0 {
			select {
			case <-limit:
				t.Fatalf("%s: the request is still in flight", name)
			case <-time.After(time.Millisecond):
			}
		}
		c.Close()
	}
}

// TestCallerThatReadsNothing checks that the close of a caller that does not read is
// noticed, and ends what is being sent to it.
func TestCallerThatReadsNothing(t *testing.T) {
	w := newWorld(t)
	piece := strings.Repeat("a", 64<<10)
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		for c.WriteMessage(websocket.TextMessage, []byte(piece)) == nil {
		}
	})
	w.upstream("groq", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(rw, `data: {"type":"response.x","delta":"`+piece+`"}`+"\n\n"); err != nil {
				return
			}
		}
	})
	for _, model := range []string{"openai/m", "groq/m"} {
		c, _, err := w.dial("/v1/responses?model=" + model)
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, `{"type":"response.create","input":"x"}`)
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		limit := time.After(closeWithin)
		for w.gw.InFlight() > 0 {
			select {
			case <-limit:
				t.Fatalf("%s: the request is still in flight", model)
			case <-time.After(time.Millisecond):
			}
		}
		c.Close()
	}
}
