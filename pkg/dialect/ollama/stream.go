package ollama

import (
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// stream translates chunks of chat completions into Ollama's objects: text as it
// arrives, calls once they are complete, and counts and durations in the last
// object.
type stream struct {
	reply   *reply
	buf     []byte
	first   time.Time // arrival of the first piece
	calls   partialCalls
	reason  string
	usage   *usage
	failure string
	done    bool
	err     error // why the stream ended
}

// Event translates one chunk.
func (s *stream) Event(ev sse.Event, emit func(sse.Event)) error {
	if s.done || ev.Data == nil {
		return nil
	}
	if string(ev.Data) == "[DONE]" {
		s.End(nil, emit) // End remembers that it was called
		return nil
	}
	var c completion
	if err := jsonscan.Decode(ev.Data, &c); err != nil {
		return &fault.Error{Kind: fault.Upstream, Message: "the provider's stream contains an event that is not a chunk of a chat completion", Err: err}
	}
	if rawjson.Set(c.Error) != nil {
		s.failure = messageOf(0, ev.Data)
		return dialect.ErrProvider
	}
	if c.Usage != nil {
		s.usage = c.Usage
	}
	for i := range c.Choices {
		choice := &c.Choices[i]
		if choice.Index != 0 {
			continue // Ollama has only one choice
		}
		if err := s.calls.add(&choice.Delta); err != nil {
			return err
		}
		if choice.FinishReason != "" {
			s.reason = choice.FinishReason
		}
		content, thinking := choice.Delta.content(), s.reply.thinking(&choice.Delta)
		if content == nil && thinking == nil && len(choice.Delta.Images) == 0 {
			continue
		}
		if s.first.IsZero() {
			s.first = s.reply.options.Now()
		}
		b := s.reply.payload(s.reply.open(s.buf[:0]), payload{content, thinking, nil, choice.Delta.Images})
		b = appendLogprobs(append(b, `,"done":false`...), choice.Logprobs)
		s.buf = append(b, '}')
		emit(sse.Event{Data: s.buf})
	}
	return nil
}

// End reports how the stream ended.
func (s *stream) End(cause error, emit func(sse.Event)) error {
	if s.done {
		return s.err
	}
	s.done = true
	calls, err := appendCalls(nil, s.calls.list)
	if cause == nil {
		cause = err
	}
	switch {
	case s.failure != "":
		s.err = dialect.ErrProvider
		emit(sse.Event{Data: errorBody(s.failure)})
		return s.err
	case cause != nil || s.reason == "":
		s.err = dialect.Incomplete(cause)
		emit(sse.Event{Data: Fault(dialect.Broken(cause))})
		return s.err
	}
	if calls != nil {
		b := s.reply.payload(s.reply.open(s.buf[:0]), payload{calls: calls})
		s.buf = append(b, `,"done":false}`...)
		emit(sse.Event{Data: s.buf})
	}
	b := s.reply.payload(s.reply.open(s.buf[:0]), payload{})
	emit(sse.Event{Data: s.reply.close(b, s.reason, s.usage, s.first)})
	return nil
}

// tooLong is Ollama's message for a prompt that does not fit in the model's
// context.
const tooLong = "the input length exceeds the context length"

// messageOf returns an error's message, whatever its dialect.
func messageOf(status int, body []byte) string {
	if list, ok := rawjson.Elements(body); ok && len(list) > 0 {
		body = list[0]
	}
	if text := dialect.ErrorText(body); text != "" {
		if dialect.IsContextOverflow(string(body), text) && !strings.Contains(text, tooLong) {
			return tooLong + ": " + text
		}
		return text
	}
	if status == 0 {
		return "the provider ended its stream with an error"
	}
	return "the provider answered " + http.StatusText(status)
}

// errorBody returns Ollama's error body.
func errorBody(message string) []byte {
	return append(jsonscan.AppendQuote([]byte(`{"error":`), message), '}')
}

// Fault returns the body of one of Hostless's own errors: {"error":"…"}.
func Fault(err *fault.Error) []byte { return errorBody(err.Error()) }
