// Package dialect owns the shape of a translation between two AI dialects.
//
// A Translator is a pure function: it turns a request of one dialect into
// another's and hands back what turns the answer around again. OpenAI's chat
// completions are the middle: each other dialect translates to or from them,
// and Chain puts two translations together, so N dialects need 2N translators
// and not N². The translators themselves live in packages of their own
// (anthropic, gemini, responses, ollama); which one applies, and all I/O, is
// the gateway's business.
package dialect

import (
	"errors"
	"net/http"

	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// Name is a dialect's name, as `--dialect` takes it.
type Name string

// The dialects.
const (
	OpenAI    Name = "openai"    // chat completions and the rest of /v1
	Responses Name = "responses" // OpenAI's responses
	Anthropic Name = "anthropic" // Messages
	Gemini    Name = "gemini"    // generateContent
	Ollama    Name = "ollama"    // /api/chat, /api/generate
)

// Request is one call in the caller's dialect.
type Request struct {
	Model    string      // the model as the upstream names it, prefix dropped
	Provider string      // the provider's catalogue name, for extra_body.<provider>
	Stream   bool        // whether the caller asked for a stream
	Header   http.Header // the caller's headers, to be read only
	Body     []byte      // the caller's JSON body, to be read only

	// Chat is the body of a request in the middle that was not written yet; Body
	// is nil then.
	Chat jsonscan.Value
	// Unwritten reports whether a translation to the middle may leave its request
	// unwritten, in Call.Chat.
	Unwritten bool
}

// Value is the body, written or not.
func (r Request) Value() jsonscan.Value {
	if r.Body != nil {
		return jsonscan.Raw(r.Body)
	}
	return r.Chat
}

// JSON is the body, which it writes where it was not written yet.
func (r Request) JSON() []byte { return r.Value().JSON() }

// Call is what goes to the upstream, and how its answer comes back.
type Call struct {
	Path    string      // below the provider's base URL, with its query: "/messages"
	Header  http.Header // headers that the upstream's dialect needs; no key
	Body    []byte      // JSON; nil where Chat is set
	Stream  bool        // whether the upstream is asked for a stream
	Ignored []string    // fields that were dropped without changing the meaning
	Reply   Reply       // turns the answer around

	Chat jsonscan.Value // the body of a request that was to be left Unwritten
}

// SetChat sets the body of a call in the middle, unwritten where req allows it.
func (c *Call) SetChat(req Request, chat jsonscan.Value) {
	if req.Unwritten {
		c.Chat = chat
	} else {
		c.Body = chat.JSON()
	}
}

// Reply turns one answer into the caller's dialect. It belongs to one Call and
// is not safe for concurrent use.
type Reply interface {
	// Body translates a successful answer that is no stream.
	Body(body []byte) ([]byte, error)
	// Error translates the upstream's error body; the status stays as it is.
	Error(status int, header http.Header, body []byte) []byte
	// Stream begins the translation of a successful event stream.
	Stream() Stream
}

// Stream translates events one by one. emit takes each event for the caller in
// order; its bytes need to hold only until emit returns.
type Stream interface {
	// Event translates one upstream event. The event's bytes hold only during
	// the call. An error ends the stream: End is called with it.
	Event(ev sse.Event, emit func(sse.Event)) error
	// End is called once, after the last event. cause is nil if the upstream closed
	// in good order. The stream itself knows whether it had come to its true end;
	// where it had not, or cause is not nil, it emits one error event and no false
	// finish.
	//
	// It returns nil if the caller got a whole answer. Else it is ErrProvider where
	// the provider itself reported a failure within the stream, cause where that
	// ended it, and ErrIncomplete where nothing did.
	End(cause error, emit func(sse.Event)) error
}

// How a stream failed, where no other error says it; never shown.
var (
	ErrProvider   = errors.New("the provider ended its stream with an error")
	ErrIncomplete = errors.New("the provider's stream ended before the answer was complete")
)

// Incomplete is what Stream.End returns of a stream that had not come to its end:
// cause, or ErrIncomplete for nil.
func Incomplete(cause error) error {
	if cause != nil {
		return cause
	}
	return ErrIncomplete
}

// Translator translates one request. A request that cannot be carried without
// changing its meaning is a fault of kind Invalid that names the Param.
type Translator func(Request) (*Call, error)

// Chain returns the translator that goes through both: first from the caller's
// dialect to the middle, then from the middle to the upstream's.
func Chain(first, second Translator) Translator {
	return func(req Request) (*Call, error) {
		req.Unwritten = true
		outer, err := first(req)
		if err != nil {
			return nil, err
		}
		header := req.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		for name, values := range outer.Header {
			header[name] = values
		}
		inner, err := second(Request{Model: req.Model, Provider: req.Provider, Stream: outer.Stream, Header: header, Body: outer.Body, Chat: outer.Chat})
		if err != nil {
			return nil, err
		}
		inner.Ignored = append(append([]string{}, outer.Ignored...), inner.Ignored...)
		inner.Reply = chained{outer.Reply, inner.Reply}
		return inner, nil
	}
}

// Same is the Reply of a request that was in the caller's dialect already.
type Same struct{}

// Body implements Reply.
func (Same) Body(body []byte) ([]byte, error) { return body, nil }

// Error implements Reply.
func (Same) Error(_ int, _ http.Header, body []byte) []byte { return body }

// Stream implements Reply.
func (Same) Stream() Stream { return sameStream{} }

type sameStream struct{}

func (sameStream) Event(ev sse.Event, emit func(sse.Event)) error { emit(ev); return nil }
func (sameStream) End(error, func(sse.Event)) error               { return nil }

// Outermost is the Reply of the caller's dialect, of one that Chain may have made.
func Outermost(r Reply) Reply {
	if c, ok := r.(chained); ok {
		return Outermost(c.outer)
	}
	return r
}

type chained struct{ outer, inner Reply }

func (c chained) Body(body []byte) ([]byte, error) {
	middle, err := c.inner.Body(body)
	if err != nil {
		return nil, err
	}
	return c.outer.Body(middle)
}

func (c chained) Error(status int, header http.Header, body []byte) []byte {
	return c.outer.Error(status, header, c.inner.Error(status, header, body))
}

func (c chained) Stream() Stream {
	return &chainedStream{outer: c.outer.Stream(), inner: c.inner.Stream()}
}

type chainedStream struct {
	outer, inner Stream
	failed       error
}

func (s *chainedStream) forward(emit func(sse.Event)) func(sse.Event) {
	return func(ev sse.Event) {
		if s.failed == nil {
			s.failed = s.outer.Event(ev, emit)
		}
	}
}

func (s *chainedStream) Event(ev sse.Event, emit func(sse.Event)) error {
	if err := s.inner.Event(ev, s.forward(emit)); err != nil {
		return err
	}
	return s.failed
}

func (s *chainedStream) End(cause error, emit func(sse.Event)) error {
	// The inner stream reports in the middle dialect how it ended (an error event
	// or the true end), and the outer one carries that over. What the inner one
	// returns is the nearer to the provider.
	inner := s.inner.End(cause, s.forward(emit))
	outer := s.outer.End(s.failed, emit)
	if inner != nil {
		return inner
	}
	return outer
}
