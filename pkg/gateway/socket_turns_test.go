package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// TestRealtimeTurns checks that each response of a Realtime session is admitted, settled
// and observed as a call, even if the provider starts it by itself. All other usage must
// belong to the session.
func TestRealtimeTurns(t *testing.T) {
	seen := newRecorder()
	refuse := make(chan bool, 16)
	settled := make(chan pipeline.Outcome, 16)
	w := newWorld(t, func(c *gateway.Config) {
		c.Observers = []pipeline.Observer{seen}
		c.Admitters = []pipeline.Admitter{pipeline.AdmitterFunc(func(_ context.Context, call *pipeline.Call, to []pipeline.Candidate) (func(pipeline.Outcome), error) {
			if len(to) != 1 || to[0].Model != "gpt-realtime" || !call.Socket {
				t.Errorf("asked about %+v", to)
			}
			if <-refuse {
				return nil, &fault.Error{Kind: fault.RateLimited, Message: "the budget is spent", Code: pipeline.CodeBudgetExceeded}
			}
			return func(o pipeline.Outcome) { settled <- o }, nil
		})}
	})
	asked := make(chan string, 16)
	script := make(chan string, 16)
	w.wsUpstream("openai", func(_ *http.Request, c *websocket.Conn) {
		go func() {
			for text := range script {
				if c.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
					return
				}
			}
		}()
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			asked <- string(data)
		}
	})
	defer close(script)
	refuse <- false // the session
	c, _, err := w.dial("/v1/realtime?model=openai/gpt-realtime")
	if err != nil {
		t.Fatal(err)
	}
	tell := func(text, want string) {
		t.Helper()
		script <- text
		if got := receive(t, c); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	expect := func(what string, kind pipeline.ErrorKind, input int) {
		t.Helper()
		call, o := seen.last(t)
		if o.Kind != kind || int(o.Usage.Tokens.Input) != input || call.Method != "POST" {
			t.Errorf("%s: kind %q, input %d, method %s; want %q and %d", what, o.Kind, o.Usage.Tokens.Input, call.Method, kind, input)
		}
		if kind != pipeline.PolicyBudgetExceeded {
			if s := <-settled; s.Kind != kind || int(s.Usage.Tokens.Input) != input {
				t.Errorf("%s: settled with %q, %d", what, s.Kind, s.Usage.Tokens.Input)
			}
		}
	}

	refuse <- false
	send(t, c, `{"type":"response.create","event_id":"e1"}`)
	<-asked
	tell(`{"type":"response.created","response":{"id":"r1","usage":null}}`, "r1")
	tell(`{"type":"response.done","response":{"id":"r1","status":"completed","usage":{"input_tokens":3,"output_tokens":1}}}`, "r1")
	expect("asked for", "", 3)

	refuse <- true
	send(t, c, `{"type":"response.create","event_id":"e2"}`)
	if got := receive(t, c); !strings.Contains(got, "the budget is spent") || !strings.Contains(got, "e2") {
		t.Errorf("refused: %s", got)
	}
	expect("refused", pipeline.PolicyBudgetExceeded, 0)

	refuse <- false
	send(t, c, `{"type":"response.create","event_id":"e3"}`)
	<-asked
	tell(`{"type":"error","error":{"code":"conversation_already_has_active_response","event_id":"e3"}}`, "e3")
	expect("refused by the provider", pipeline.ProviderRejected, 0)

	refuse <- false
	tell(`{"type":"response.created","response":{"id":"r2"}}`, "r2")
	tell(`{"type":"response.done","response":{"id":"r2","status":"failed","usage":{"input_tokens":5}}}`, "r2")
	expect("started by the provider", pipeline.ProviderError, 5)

	refuse <- true
	script <- `{"type":"response.created","response":{"id":"r3"}}`
	if got := receive(t, c); !strings.Contains(got, "the budget is spent") {
		t.Errorf("started by the provider, refused: %s", got)
	}
	receive(t, c) // response.created
	if got := <-asked; got != `{"response_id":"r3","type":"response.cancel"}` {
		t.Errorf("the provider was sent %s", got)
	}
	expect("started by the provider, refused", pipeline.PolicyBudgetExceeded, 0)
	tell(`{"type":"response.done","response":{"id":"r3","status":"cancelled","usage":{"input_tokens":7}}}`, "r3")
	tell(`{"type":"conversation.item.input_audio_transcription.completed","usage":{"type":"tokens","input_tokens":11,"output_tokens":2}}`, "transcription")

	refuse <- false
	send(t, c, `{"type":"response.create"}`)
	<-asked
	c.Close()
	for range 2 { // the turn, then the session
		select {
		case <-seen.concluded:
		case <-time.After(10 * time.Second):
			t.Fatal("the call of the session has not ended")
		}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	n := len(seen.done) - 2
	if o := seen.done[n]; seen.calls[n].Method != "POST" || o.Kind != pipeline.CallerDisconnected || o.Reported {
		t.Errorf("cut: %s, %q", seen.calls[n].Method, o.Kind)
	}
	if o := seen.done[n+1]; seen.calls[n+1].Method != "GET" || o.Usage.Tokens.Input != 18 {
		t.Errorf("the session: %s, %+v", seen.calls[n+1].Method, o.Usage)
	}
}
