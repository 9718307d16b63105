package openai

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// Thoughts remembers the thinking before a model's tool calls, by the calls' ids,
// for clients that send the calls back without it. Implementations must be safe for
// concurrent use.
type Thoughts interface {
	// Any reports whether anything is remembered; if not, calls need not be looked
	// up.
	Any() bool
	// Get returns reasoning_content and reasoning_details of the message that a
	// call belongs to, as an object, or nil if they are not known.
	Get(callID string) json.RawMessage
	// Put remembers them for a call.
	Put(callID string, thought json.RawMessage)
	// Spoke is called for each response that has a member named reasoning_content.
	Spoke()
}

// placeholder replaces thinking that is lost, because some providers refuse a call
// with no thinking or with an empty one.
const placeholder = " "

// ThinksBack reports whether a model with that name requires the thinking before
// its tool calls to be sent back: DeepSeek, Kimi and MiMo, at any provider.
func ThinksBack(model string) bool {
	base := strings.ToLower(model)
	for _, name := range [...]string{"deepseek", "kimi", "mimo"} {
		if strings.Contains(base, name) {
			return !strings.Contains(base, "distill")
		}
	}
	return false
}

// WatchThoughts returns a function that remembers what a model thinks before its tool
// calls, in a response that is forwarded as it is. It is called with each event's data of
// a stream, or with the body of another response.
func WatchThoughts(thoughts Thoughts) func(data []byte) {
	t := &thinking{thoughts: thoughts}
	return t.event
}

// Recall returns first, a translator to a provider of chat completions, with one
// addition: it restores the thinking that the client lost, and adds a placeholder
// if needed is set and none is known. It remembers the thinking in the provider's
// responses.
func Recall(first dialect.Translator, thoughts Thoughts, needed bool) dialect.Translator {
	return func(in dialect.Request) (*dialect.Call, error) {
		unwritten := in.Unwritten
		in.Unwritten = true
		call, err := first(in)
		if err != nil {
			return nil, err
		}
		chat := call.Chat
		if call.Body != nil {
			chat = jsonscan.Raw(call.Body)
		}
		in.Unwritten, call.Body, call.Chat = unwritten, nil, jsonscan.Value{}
		call.SetChat(in, recalled(chat, thoughts, needed))
		call.Reply = remembering{call.Reply, thoughts}
		return call, nil
	}
}

// RecallDetails returns second, a translator from chat completions, with one
// addition: it restores the signed thinking that the client lost. It remembers the
// thinking in its responses.
func RecallDetails(second dialect.Translator, thoughts Thoughts) dialect.Translator {
	return func(in dialect.Request) (*dialect.Call, error) {
		in.Chat, in.Body = recalled(in.Value(), thoughts, false), nil
		call, err := second(in)
		if err == nil {
			call.Reply = rememberingOut{call.Reply, thoughts}
		}
		return call, err
	}
}

// recalled returns a request whose calls have the thinking before them.
func recalled(chat jsonscan.Value, thoughts Thoughts, needed bool) jsonscan.Value {
	if raw, whole := chat.Bytes(); whole && !bytes.Contains(raw, []byte(`"tool_calls"`)) {
		return chat
	}
	if !needed && !thoughts.Any() {
		return chat
	}
	list := chat.Get("messages")
	var messages []jsonscan.Value
	changed := false
	for _, m := range list.Elements() {
		if more, ok := thoughtless(m, thoughts, needed); ok {
			m, changed = more, true
		}
		messages = append(messages, m)
	}
	if !changed {
		return chat
	}
	return replaced(chat, "messages", jsonscan.Arr(messages))
}

// thoughtless returns a message of calls with its thinking. ok is false if the
// message already has it, has no calls, or none is known.
func thoughtless(m jsonscan.Value, thoughts Thoughts, needed bool) (out jsonscan.Value, ok bool) {
	if m.Kind() != '{' || !m.Get("role").Is(`"assistant"`) {
		return m, false
	}
	calls := m.Get("tool_calls")
	text, details := m.Get(ReasoningContent), m.Get(ReasoningDetails)
	if calls.Kind() != '[' || !text.String().Empty() && details.Set() {
		return m, false
	}
	out = m
	for _, call := range calls.Elements() {
		if call.Kind() != '{' {
			continue
		}
		known := jsonscan.Raw(thoughts.Get(call.Get("id").String().Text()))
		for name, value := range known.Members() {
			if name == ReasoningContent && text.String().Empty() || name == ReasoningDetails && !details.Set() {
				out, ok = replaced(out, name, value), true
			}
		}
		if ok || needed && text.String().Empty() {
			break
		}
	}
	if needed && out.Get(ReasoningContent).String().Empty() {
		return replaced(out, ReasoningContent, jsonscan.Quoted(placeholder)), true
	}
	return out, ok
}

// remembering remembers the thinking in responses of a provider of chat
// completions.
type remembering struct {
	dialect.Reply
	thoughts Thoughts
}

func (r remembering) Body(body []byte) ([]byte, error) {
	rememberWhole(body, r.thoughts)
	return r.Reply.Body(body)
}

func (r remembering) Stream() dialect.Stream {
	return &rememberingStream{Stream: r.Reply.Stream(), thinking: thinking{thoughts: r.thoughts}}
}

type rememberingStream struct {
	dialect.Stream
	thinking thinking
}

func (s *rememberingStream) Event(ev sse.Event, emit func(sse.Event)) error {
	s.thinking.event(ev.Data)
	return s.Stream.Event(ev, emit)
}

// rememberingOut remembers the thinking in responses that a translator returns as
// chat completions.
type rememberingOut struct {
	dialect.Reply
	thoughts Thoughts
}

func (r rememberingOut) Body(body []byte) ([]byte, error) {
	out, err := r.Reply.Body(body)
	if err == nil {
		rememberWhole(out, r.thoughts)
	}
	return out, err
}

func (r rememberingOut) Stream() dialect.Stream {
	return &rememberingOutStream{Stream: r.Reply.Stream(), thinking: thinking{thoughts: r.thoughts}}
}

type rememberingOutStream struct {
	dialect.Stream
	thinking thinking
}

func (s *rememberingOutStream) Event(ev sse.Event, emit func(sse.Event)) error {
	return s.Stream.Event(ev, func(ev sse.Event) { s.thinking.event(ev.Data); emit(ev) })
}

func (s *rememberingOutStream) End(cause error, emit func(sse.Event)) error {
	return s.Stream.End(cause, func(ev sse.Event) { s.thinking.event(ev.Data); emit(ev) })
}

// maxThought is the maximum size, in bytes, of the thinking that is remembered for
// a turn.
const maxThought = 256 << 10

// thinking collects the thinking of a turn, up to its calls.
type thinking struct {
	thoughts Thoughts
	text     []byte // as the content of a JSON string
	details  []json.RawMessage
	size     int
	spoke    bool
	ids      []string
}

type thinkingChoice struct {
	Delta   thinkingMessage `json:"delta"`
	Message thinkingMessage `json:"message"`
}

type thinkingMessage struct {
	MessageText
	Details   []json.RawMessage `json:"reasoning_details"`
	ToolCalls []struct {
		ID string `json:"id"`
	} `json:"tool_calls"`
}

func rememberWhole(body []byte, thoughts Thoughts) {
	t := thinking{thoughts: thoughts}
	t.event(body)
}

// event adds a completion, or a chunk of one.
func (t *thinking) event(data []byte) {
	if !bytes.Contains(data, []byte(`"reasoning`)) && !bytes.Contains(data, []byte(`"tool_calls"`)) {
		return
	}
	var c struct {
		Choices []thinkingChoice `json:"choices"`
	}
	if jsonscan.Decode(data, &c) != nil || len(c.Choices) == 0 {
		return
	}
	for _, m := range [...]*thinkingMessage{&c.Choices[0].Delta, &c.Choices[0].Message} {
		if t.add(m) && len(t.ids) > 0 && t.size > 0 && t.size <= maxThought {
			t.keep()
		}
	}
}

// add adds the thinking and the calls of a piece. news reports whether it had any.
func (t *thinking) add(m *thinkingMessage) (news bool) {
	if thought := jsonscan.String(m.Thought()); thought != nil && t.size <= maxThought {
		t.text, news = jsonscan.AppendInner(t.text, thought), true
		t.size += len(thought)
		if !t.spoke && len(m.ReasoningContent) > len(`""`) {
			t.spoke = true
			t.thoughts.Spoke()
		}
	}
	for _, d := range m.Details {
		if t.size += len(d); t.size <= maxThought {
			t.details, news = append(t.details, bytes.Clone(d)), true
		}
	}
	for _, call := range m.ToolCalls {
		if call.ID != "" && !slices.Contains(t.ids, call.ID) {
			t.ids, news = append(t.ids, call.ID), true
		}
	}
	return news
}

// keep remembers the turn so far for each of its calls.
func (t *thinking) keep() {
	o := jsonscan.Obj()
	if len(t.text) > 0 {
		o.Put(ReasoningContent, jsonscan.Raw(append(append([]byte{'"'}, t.text...), '"')))
	}
	if len(t.details) > 0 {
		list := make([]jsonscan.Value, len(t.details))
		for i, d := range t.details {
			list[i] = jsonscan.Raw(d)
		}
		o.Put(ReasoningDetails, jsonscan.Arr(list))
	}
	thought := o.Append(nil)
	for _, id := range t.ids {
		t.thoughts.Put(id, thought)
	}
}
