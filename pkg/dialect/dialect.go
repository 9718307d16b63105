// Package dialect defines the translation between two AI dialects.
//
// A Translator is a pure function: it turns a request of one dialect into a request
// of another, and returns the Reply that translates the response back. OpenAI's
// chat completions are the intermediate form: every other dialect is translated to
// or from it, and Chain combines two translations, so that N dialects need 2N
// translators instead of N². The translators have their own packages (anthropic,
// gemini, responses, ollama). Which one applies, and all I/O, is up to the gateway.
package dialect

import (
	"errors"
	"net/http"

	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// Name is the name of a dialect, as `--dialect` takes it.
type Name string

// The dialects.
const (
	OpenAI    Name = "openai"    // chat completions and the rest of /v1
	Responses Name = "responses" // OpenAI's responses
	Anthropic Name = "anthropic" // Messages
	Gemini    Name = "gemini"    // generateContent
	Ollama    Name = "ollama"    // /api/chat, /api/generate
)

// Request is one request in the client's dialect, to be translated.
type Request struct {
	Model    string      // as the upstream names it, without the prefix
	Provider string      // the provider's catalogue name, for extra_body.<provider>
	Stream   bool        // whether the client asked for a stream
	Header   http.Header // the client's headers; read only
	Body     []byte      // the client's JSON body; read only

	// Chat is the body of a chat request that was not written as JSON yet. Body is
	// nil then.
	Chat jsonscan.Value
	// Unwritten allows a translation to chat completions to return its request
	// unwritten, in Call.Chat.
	Unwritten bool
}

// Value returns the body, written or not.
func (r Request) Value() jsonscan.Value {
	if r.Body != nil {
		return jsonscan.Raw(r.Body)
	}
	return r.Chat
}

// JSON returns the body as JSON.
func (r Request) JSON() []byte { return r.Value().JSON() }

// Call is the translated request, and the way to translate its response.
type Call struct {
	Path    string      // below the provider's base URL, with the query: "/messages"
	Header  http.Header // headers that the upstream's dialect needs; no key
	Body    []byte      // JSON; nil if Chat is set
	Stream  bool        // whether the upstream is asked for a stream
	Ignored []string    // fields that were dropped without changing the meaning of the request
	Reply   Reply       // translates the response

	Chat jsonscan.Value // the unwritten body, if Request.Unwritten allowed it
}

// SetChat sets the body of a call in chat completions. It leaves the body unwritten
// if req allows it.
func (c *Call) SetChat(req Request, chat jsonscan.Value) {
	if req.Unwritten {
		c.Chat = chat
	} else {
		c.Body = chat.JSON()
	}
}

// Reply translates one response into the client's dialect. It belongs to one Call
// and is not safe for concurrent use.
type Reply interface {
	// Body translates the body of a successful response that is not a stream.
	Body(body []byte) ([]byte, error)
	// Error translates the upstream's error body. The status stays the same.
	Error(status int, header http.Header, body []byte) []byte
	// Stream starts the translation of a successful event stream.
	Stream() Stream
}

// Stream translates events one by one. It passes each event for the client to emit,
// in order. The event's bytes are only valid until emit returns.
type Stream interface {
	// Event translates one upstream event. The event's bytes are only valid during
	// the call. An error ends the stream: End must then be called with it.
	Event(ev sse.Event, emit func(sse.Event)) error
	// End is called once, after the last event. cause is nil if the upstream closed
	// the stream normally. The stream itself knows whether it was complete: if it
	// was not, or cause is not nil, it emits one error event and no finish.
	//
	// It returns nil if the client got a complete response. Otherwise it returns
	// ErrProvider if the provider reported a failure within the stream, cause if
	// that ended the stream, and ErrIncomplete if neither did.
	End(cause error, emit func(sse.Event)) error
}

// Reasons why a stream failed, if no other error gives one. They are never shown.
var (
	ErrProvider   = errors.New("the provider ended its stream with an error")
	ErrIncomplete = errors.New("the provider's stream ended before the response was complete")
)

// Incomplete returns the error of Stream.End for a stream that was not complete:
// cause, or ErrIncomplete if cause is nil.
func Incomplete(cause error) error {
	if cause != nil {
		return cause
	}
	return ErrIncomplete
}

// Translator translates one request. If a request cannot be translated without
// changing its meaning, the error is a fault of kind Invalid that names the Param.
type Translator func(Request) (*Call, error)

// Chain returns the translator that applies both: first translates from the
// client's dialect to chat completions, and second from chat completions to the
// upstream's dialect.
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

// Same is the Reply for a request that already was in the client's dialect: it
// changes nothing.
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

// Outermost returns the Reply of the client's dialect, also from a Reply that Chain
// has made.
func Outermost(r Reply) Reply {
	if c, ok := r.(chained); ok {
		return Outermost(c.outer)
	}
	return r
}

type chained struct{ outer, inner Reply }

func (c chained) Body(body []byte) ([]byte, error) {
	chat, err := c.inner.Body(body)
	if err != nil {
		return nil, err
	}
	return c.outer.Body(chat)
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
	// The inner stream reports in the intermediate form how it ended (an error
	// event or a normal end), and the outer one translates that. The inner stream's
	// error is preferred, because that stream is closer to the provider.
	inner := s.inner.End(cause, s.forward(emit))
	outer := s.outer.End(s.failed, emit)
	if inner != nil {
		return inner
	}
	return outer
}
