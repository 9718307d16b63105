package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/sock"
)

// pair returns both ends of a WebSocket: the accepted one, and the dialled one, whose
// connection can batch writes like a provider's.
func pair(t *testing.T) (accepted *Conn, dialled *websocket.Conn) {
	t.Helper()
	ready, done := make(chan *Conn, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r, "", nil, 1<<20, func(error) {})
		if err != nil {
			t.Error(err)
		}
		ready <- c
		<-done
	}))
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return sock.NewBatch(c), err
	}}
	c, _, err := dialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted = <-ready
	t.Cleanup(func() { c.Close(); accepted.Close(); close(done); server.Close() })
	return accepted, c
}

func read(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, data, err := c.ReadMessage()
	if err != nil {
		return "error: " + err.Error()
	}
	return string(data)
}

// newRelay connects a caller to a provider through a Relay, and returns their ends.
func newRelay(t *testing.T) (r *Relay, caller, provider *websocket.Conn) {
	callerEnd, caller := pair(t)
	provided, dialled := pair(t)
	r = &Relay{Caller: callerEnd, Provider: NewConn(dialled, 1<<20), Lost: func() {}}
	r.Up = func(kind int, data []byte) bool { return r.Provider.Send(kind, append(data, '^')) == nil }
	r.Down = func(kind int, data []byte) error { return r.Caller.Send(kind, append(data, '$')) }
	return r, caller, provided.ws
}

func TestRelay(t *testing.T) {
	r, caller, provider := newRelay(t)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(t.Context()) }()
	for _, text := range []string{"a", strings.Repeat("b", 300<<10), "c"} {
		caller.WriteMessage(websocket.TextMessage, []byte(text))
		if got := read(t, provider); got != text+"^" {
			t.Fatalf("the provider got %d bytes", len(got))
		}
		for range 3 {
			provider.WriteMessage(websocket.BinaryMessage, []byte(text))
		}
		for range 3 {
			if got := read(t, caller); got != text+"$" {
				t.Fatalf("the caller got %d bytes", len(got))
			}
		}
	}
	caller.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "enough"), time.Now().Add(time.Second))
	if got := read(t, provider); !strings.Contains(got, "4001") || !strings.Contains(got, "enough") {
		t.Errorf("the provider's end: %s", got)
	}
	select {
	case err := <-ended:
		if !isClose(err) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the relay did not end")
	}
}

func TestRelayLost(t *testing.T) {
	r, caller, provider := newRelay(t)
	r.Lost = func() { r.Caller.SendText([]byte("lost")) }
	go r.Run(t.Context())
	provider.NetConn().Close()
	if got := read(t, caller); got != "lost" {
		t.Errorf("got %s", got)
	}
	if got := read(t, caller); !strings.Contains(got, "1011") {
		t.Errorf("then %s, want a close with 1011", got)
	}
}

func TestRelayEnds(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{{ErrStopping, "1001"}, {fault.New(fault.Unauthenticated, "revoked"), "1008"}} {
		r, caller, _ := newRelay(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		go r.Run(ctx)
		cancel(tt.cause)
		if got := read(t, caller); !strings.Contains(got, tt.want) {
			t.Errorf("%v: %s, want a close with %s", tt.cause, got, tt.want)
		}
	}
}

func TestRequests(t *testing.T) {
	accepted, caller := pair(t)
	started := make(chan string, 4)
	s := Requests{Caller: accepted, Answer: func(ctx context.Context, m body.Message) {
		started <- m.EventID
		if m.EventID == "long" {
			<-ctx.Done()
		}
		accepted.SendText([]byte("answered " + m.EventID))
	}}
	done := make(chan struct{})
	go func() { s.Run(t.Context(), nil); close(done) }()
	say := func(text string) { caller.WriteMessage(websocket.TextMessage, []byte(text)) }
	say(`{"type":"response.create","event_id":"1"}`)
	if got := read(t, caller); got != "answered 1" {
		t.Error(got)
	}
	say(`nonsense`)
	if got := read(t, caller); !strings.Contains(got, "not a JSON object") {
		t.Error(got)
	}
	say(`{"type":"session.update","event_id":"2"}`)
	if got := read(t, caller); !strings.Contains(got, `"event_id":"2"`) {
		t.Error(got)
	}
	<-started
	say(`{"type":"response.create","event_id":"long"}`)
	<-started
	say(`{"type":"response.cancel"}`)
	if got := read(t, caller); got != "answered long" {
		t.Error(got)
	}
	caller.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("it runs on after the close")
	}
}

func TestEventWriter(t *testing.T) {
	var sent []string
	w := NewEventWriter(func(b []byte) error { sent = append(sent, string(b)); return nil })
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusEarlyHints)
	w.WriteHeader(200)
	for _, piece := range []string{"event: x\nda", "ta: {\"a\":1}\n\n: ping\n\nda", "ta: {\"b\":2}\n\ndata: [DONE]\n\n"} {
		w.Write([]byte(piece))
	}
	w.Finish()
	if got := strings.Join(sent, " "); got != `{"a":1} {"b":2}` || w.Status() != 200 {
		t.Errorf("%d %s", w.Status(), got)
	}
	for in, want := range map[string]string{
		`{"error":{"code":"x"}}`: `{"type":"error","status":429,"error":{"code":"x"}}`,
		`busy`:                   `{"type":"error","status":429,"error":{"message":"busy","type":"upstream_error","param":null,"code":null}}`,
	} {
		sent = nil
		w := NewEventWriter(func(b []byte) error { sent = append(sent, string(b)); return nil })
		w.WriteHeader(429)
		w.Write([]byte(in))
		w.Finish()
		if len(sent) != 1 || sent[0] != want {
			t.Errorf("%s: %q", in, sent)
		}
	}
	broken := errors.New("broken")
	w = NewEventWriter(func([]byte) error { return broken })
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	if _, err := w.Write([]byte("data: 1\n\n")); err != broken {
		t.Errorf("a caller that disconnected: %v", err)
	}
}

func TestConversation(t *testing.T) {
	var c Conversation
	members := func(text string) map[string]json.RawMessage {
		m, err := RequestBody(func() body.Message { m, _ := body.ParseMessage([]byte(text)); return m }(), "p/m")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	unknown := func(string) bool { return false }
	first := members(`{"type":"response.create","event_id":"e","store":false,"input":"one"}`)
	if string(first["model"]) != `"p/m"` || string(first["stream"]) != "true" || first["type"] != nil {
		t.Errorf("got %s", first)
	}
	if err := c.Expand(first, false, unknown); err != nil {
		t.Fatal(err)
	}
	c.See([]byte(`{"type":"response.completed","response":{"id":"r1","output":[{"type":"message","n":1},{"type":"reasoning"}]}}`))
	second := members(`{"type":"response.create","previous_response_id":"r1","store":false,"input":[{"two":2}]}`)
	if err := c.Expand(second, false, unknown); err != nil {
		t.Fatal(err)
	}
	if got := string(second["input"]); second["previous_response_id"] != nil || !strings.Contains(got, `"one"`) || !strings.Contains(got, `{"type":"message","n":1},{"two":2}`) {
		t.Errorf("the second request has %s", got)
	}
	elsewhere := members(`{"previous_response_id":"elsewhere"}`)
	if err := c.Expand(elsewhere, true, unknown); err != nil {
		t.Fatal(err)
	}
	if err := c.WarmUp("m", elsewhere, 1, nil); fault.From(err).Code != "previous_response_not_found" {
		t.Errorf("a response that is not known: %v", err)
	}
	var events []string
	warm := members(`{"input":"warm","instructions":"be brief"}`)
	if err := c.Expand(warm, true, unknown); err != nil {
		t.Fatal(err)
	}
	if err := c.WarmUp("m", warm, 1, func(b []byte) error { events = append(events, string(b)); return nil }); err != nil || len(events) != 3 || !strings.Contains(events[2], `"response.completed"`) || !strings.Contains(events[2], "be brief") {
		t.Errorf("%v: %s", err, events)
	}
	if err := c.Expand(members(`{"input":7}`), false, unknown); !fault.Is(err, fault.Invalid) {
		t.Errorf("an input that is a number: %v", err)
	}
}
