package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/hostless/hostless/pkg/front"
	"github.com/hostless/hostless/test/harness"
)

// TestNothingRunsAfterTheEnd checks that no goroutine is left when the server has shut down
// and the gateway is closed: of plain requests, of streams that end, are cut by their
// caller or outlast the server, and of WebSockets.
func TestNothingRunsAfterTheEnd(t *testing.T) {
	harness.CheckGoroutines(t)
	t.Cleanup(noRedirects.CloseIdleConnections)
	w := newWorld(t)
	s, err := front.New(front.Config{
		Gateway: w.gw, Apps: http.NotFoundHandler(),
		CloseDelay: time.Millisecond, Drain: 20 * time.Millisecond, UpgradeGrace: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.server.URL = "http://" + listener.Addr().String()

	w.upstream("mistral", chatOnly(t))
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listener) }()
	stop := sync.OnceValue(func() error { end(); return <-ended })
	w.do("GET", "/v1/models", "").want(t, 200, "data")
	w.upstream("anthropic", messagesOnly(t))
	w.upstream("endless", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		events(rw)(`data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"po"}}]}` + "\n\n")
		<-r.Context().Done()
	})
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, data) != nil {
				return
			}
		}
	})
	t.Cleanup(func() { stop() }) // before the providers wait for their requests

	const turns = `"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	for _, tt := range []struct{ path, model string }{
		{"/v1/chat/completions", "mistral/m"}, {"/v1/chat/completions", "anthropic/claude-x"},
		{"/v1/messages", "mistral/m"}, {"/v1/messages", "anthropic/claude-x"},
	} {
		for _, stream := range []string{"", `"stream":true,`} {
			w.do("POST", tt.path, `{"model":"`+tt.model+`",`+stream+turns).want(t, 200, "po")
		}
	}
	w.do("POST", "/v1/messages", `{"model":"mistral/m",`+turns, "Authorization", "").want(t, 401, "")

	stream := func(ctx context.Context, path string) *http.Response {
		resp, err := noRedirects.Do(w.request("POST", path, `{"model":"endless/m","stream":true,`+turns).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		cut, cancel := context.WithCancel(t.Context())
		stream(cut, path)
		cancel()
	}
	outlasting := []*http.Response{stream(t.Context(), "/v1/chat/completions"), stream(t.Context(), "/v1/messages")}

	for _, leaves := range []bool{true, false} {
		relayed, _, err := w.dial("/v1/realtime?model=m")
		if err != nil {
			t.Fatal(err)
		}
		send(t, relayed, `{"type":"x"}`)
		receive(t, relayed)
		bridged, _, err := w.dial("/v1/responses?model=endless/m")
		if err != nil {
			t.Fatal(err)
		}
		send(t, bridged, `{"type":"response.create","input":"x"}`)
		receive(t, bridged)
		if leaves {
			relayed.NetConn().Close()
			bridged.NetConn().Close()
		}
	}

	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, resp := range outlasting {
		text, _ := io.ReadAll(resp.Body)
		if strings.Contains(string(text), "[DONE]") || strings.Contains(string(text), "message_stop") {
			t.Errorf("a truncated stream looks complete: %s", text)
		}
	}
}
