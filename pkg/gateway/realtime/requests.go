package realtime

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/redact"
)

// Requests serves a connection whose response.create messages are independent requests, one
// after another. The connection is read during a request too, so that a disconnect or a
// response.cancel cancels it.
type Requests struct {
	Caller *Conn
	// Answer answers one response.create. Its context is cancelled when the connection ends
	// and by a response.cancel.
	Answer func(ctx context.Context, m body.Message)

	mu      sync.Mutex
	current context.CancelFunc
}

// maxQueued is how many messages may wait for the current one; with more, the connection is
// not read.
const maxQueued = 4

// Run serves until the connection ends. first is a message that has been read already, or
// nil.
func (s *Requests) Run(ctx context.Context, first *body.Message) {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan body.Message, maxQueued)
	done, answered := make(chan error, 1), make(chan struct{})
	defer close(answered)
	go func() {
		err := s.read(ctx, queue)
		close(queue)
		cancel()
		done <- err
		// A caller that has disconnected, or does not read, must not block a request.
		cut := time.AfterFunc(closeTimeout, func() { s.Caller.ws.Close() })
		defer cut.Stop()
		<-answered
	}()
	if first != nil {
		s.answer(ctx, *first)
	}
	for m := range queue {
		s.answer(ctx, m)
	}
	cancel()
	relayClose(s.Caller.ws, <-done, websocket.CloseNormalClosure, redact.Redactor{})
}

func (s *Requests) read(ctx context.Context, queue chan<- body.Message) error {
	s.Caller.ws.SetCloseHandler(func(int, string) error { return nil })
	for {
		_, data, err := s.Caller.ws.ReadMessage() // allocates, because messages wait in the queue
		if err != nil {
			return err
		}
		m, ok := body.ParseMessage(data)
		switch {
		case !ok:
			s.Caller.SendText(ErrorEvent(fault.New(fault.Invalid, "the message is not a JSON object"), ""))
		case m.Type == "response.cancel":
			s.mu.Lock()
			if s.current != nil {
				s.current()
			}
			s.mu.Unlock()
		case m.Type == "response.create":
			select {
			case queue <- m:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		default:
			s.Caller.SendText(ErrorEvent(&fault.Error{Kind: fault.Invalid, Message: "only response.create and response.cancel are supported here", Param: "type"}, m.EventID))
		}
	}
}

func (s *Requests) answer(ctx context.Context, m body.Message) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.current = cancel
	s.mu.Unlock()
	s.Answer(ctx, m)
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
}

// RequestBody returns the members of the POST for a response.create: the message without
// its own members, with stream set, and with the given model if it has none.
func RequestBody(m body.Message, model string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(m.Bytes(), &members); err != nil {
		return nil, fault.New(fault.Invalid, "the message is not a JSON object")
	}
	if inner, ok := members["response"]; ok && members["input"] == nil {
		// Some clients wrap the request in a response object, as in the Realtime API.
		members = nil
		if err := json.Unmarshal(inner, &members); err != nil || members == nil {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "response must be an object", Param: "response"}
		}
	}
	delete(members, "type")
	delete(members, "event_id")
	delete(members, "background")
	members["stream"] = json.RawMessage("true")
	if members["model"] == nil && model != "" {
		members["model"] = jsonscan.Quote(model)
	}
	return members, nil
}
