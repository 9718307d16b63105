package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// event is one event of a Messages stream. Only the fields of its type are set.
type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		ID    string `json:"id"`
		Model string `json:"model"`
		Usage usage  `json:"usage"`
	} `json:"message"`
	Block block `json:"content_block"`
	Delta struct {
		Type        string          `json:"type"`
		Text        jsonscan.String `json:"text"`
		Thinking    jsonscan.String `json:"thinking"`
		Signature   jsonscan.String `json:"signature"`
		PartialJSON jsonscan.String `json:"partial_json"`
		Citation    json.RawMessage `json:"citation"`
		StopReason  string          `json:"stop_reason"`
		StopDetails stopDetails     `json:"stop_details"`
	} `json:"delta"`
	Usage usage           `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// chatStream translates Messages events into chat chunks. It writes chunks by
// appending to one buffer; the parts that never change are made once.
type chatStream struct {
	r       *chatReply
	id      string
	model   string
	created int64

	head       []byte // of each chunk, up to the delta
	tail       string // of each chunk, after the delta
	buf        []byte
	started    bool
	terminated bool  // message_stop or an error was passed on
	err        error // why the stream ended

	blocks  map[int]*openBlock
	running map[string]*search // by the id of the block that requested it
	calls   int                // number of tool calls so far
	at      int                // number of characters of content so far
	after   dialect.Gap        // what followed the last entry of reasoning_details
	answer  bool
	reason  string
	details stopDetails
	usage   usage
}

// openBlock is an open content block of the upstream.
type openBlock struct {
	kind      string
	call      int  // number of the tool call
	hidden    bool // its input is the response's text
	arguments bool // some of its input has arrived
	input     json.RawMessage
	thinking  []byte // so far, as the content of a JSON string
	signature []byte // so far, as the content of a JSON string
	start     int    // start of its text in the content
	search    *search
}

// Event translates one event.
func (s *chatStream) Event(ev sse.Event, emit func(sse.Event)) error {
	if s.terminated {
		return nil
	}
	if ev.Data == nil {
		if ev.Comment != "" {
			emit(sse.Event{Comment: ev.Comment})
		}
		return nil
	}
	var e event
	if err := jsonscan.Decode(ev.Data, &e); err != nil {
		return fmt.Errorf("read event of message stream: %w", err)
	}
	switch e.Type {
	case "message_start":
		s.start(&e, emit)
	case "content_block_start":
		s.open(&e, emit)
	case "content_block_delta":
		s.delta(&e, emit)
	case "content_block_stop":
		s.close(e.Index, emit)
	case "message_delta":
		if e.Delta.StopReason != "" {
			s.reason, s.details = e.Delta.StopReason, e.Delta.StopDetails
		}
		s.usage.merge(e.Usage)
	case "message_stop":
		s.finish(emit)
	case "ping":
		emit(sse.Event{Comment: "ping"})
	case "error":
		s.terminated, s.err = true, dialect.ErrProvider
		emit(sse.Event{Data: chatError(0, ev.Data)})
	}
	return nil
}

// End reports how the stream ended, unless an event already did.
func (s *chatStream) End(cause error, emit func(sse.Event)) error {
	if s.terminated {
		return s.err
	}
	s.terminated, s.err = true, dialect.Incomplete(cause)
	f := dialect.Broken(cause)
	emit(sse.Event{Data: openai.Error{Type: f.Kind.Type(), Message: f.Error()}.Body()})
	return s.err
}

func (s *chatStream) start(e *event, emit func(sse.Event)) {
	if s.started {
		return
	}
	s.started = true
	if e.Message.ID != "" {
		s.id = e.Message.ID
	}
	if e.Message.Model != "" {
		s.model = e.Message.Model
	}
	s.usage.merge(e.Message.Usage)
	s.head = jsonscan.AppendQuote([]byte(`{"id":`), s.id)
	s.head = strconv.AppendInt(append(s.head, `,"object":"chat.completion.chunk","created":`...), s.created, 10)
	s.head = append(jsonscan.AppendQuote(append(s.head, `,"model":`...), s.model), `,"choices":[`...)
	s.tail = `]}`
	if s.r.usage {
		s.tail = `],"usage":null}`
	}
	s.buf = append(s.delta0(), `{"role":"assistant","content":"","refusal":null}`...)
	s.emit(emit)
}

// delta0 starts a chunk, up to its delta; emit completes it.
func (s *chatStream) delta0() []byte {
	return append(append(s.buf[:0], s.head...), `{"index":0,"delta":`...)
}

func (s *chatStream) emit(emit func(sse.Event)) {
	s.buf = append(append(s.buf, `,"logprobs":null,"finish_reason":null}`...), s.tail...)
	emit(sse.Event{Data: s.buf})
}

// text emits one chunk whose delta is a single string.
func (s *chatStream) text(name string, value jsonscan.String, emit func(sse.Event)) {
	s.buf = append(append(append(s.delta0(), `{"`...), name...), `":`...)
	s.buf = append(jsonscan.AppendString(s.buf, value), '}')
	s.emit(emit)
}

func (s *chatStream) open(e *event, emit func(sse.Event)) {
	s.start(e, emit)
	if s.blocks == nil {
		s.blocks = map[int]*openBlock{}
	}
	b := &openBlock{kind: e.Block.Type, start: s.at}
	s.blocks[e.Index] = b
	switch b.kind {
	case "server_tool_use":
		b.search = &search{name: e.Block.Name}
		if s.running == nil {
			s.running = map[string]*search{}
		}
		s.running[e.Block.ID] = b.search
	case "web_search_tool_result", "web_fetch_tool_result":
		if done := s.running[e.Block.ToolUseID]; done != nil {
			s.buf = append(append(s.delta0(), `{"web_searches":[`...), rawjson.Must(done.entry(e.Block.Content))...)
			s.buf = append(s.buf, `]}`...)
			s.emit(emit)
		}
	case "text":
		if !e.Block.Text.Empty() {
			s.content(e.Block.Text, emit)
		}
		for _, c := range e.Block.Citations {
			s.citation(b, c, emit)
		}
	case "thinking":
		b.signature = jsonscan.AppendInner(nil, e.Block.Signature)
		if !e.Block.Thinking.Empty() {
			b.thinking = jsonscan.AppendInner(b.thinking, e.Block.Thinking)
			s.text("reasoning_content", e.Block.Thinking, emit)
		}
	case "redacted_thinking":
		s.buf = append(s.delta0(), `{"reasoning_details":[`...)
		s.buf = append(appendRedacted(s.buf, e.Block.Data, s.after), `]}`...)
		s.after = nil
		s.emit(emit)
	case "tool_use":
		b.input = bytes.Clone(e.Block.Input)
		if s.r.hidden != "" && e.Block.Name == s.r.hidden {
			b.hidden, s.answer = true, true
			return
		}
		b.call = s.calls
		s.calls++
		s.after.Call()
		if s.r.legacy {
			s.buf = append(s.delta0(), `{"function_call":`...)
			s.buf = append(called(e.Block.Name, emptyString).Append(s.buf), '}')
		} else {
			s.buf = strconv.AppendInt(append(s.delta0(), `{"tool_calls":[{"index":`...), int64(b.call), 10)
			s.buf = jsonscan.AppendQuote(append(s.buf, `,"id":`...), e.Block.ID)
			s.buf = append(called(e.Block.Name, emptyString).Append(append(s.buf, `,"type":"function","function":`...)), `}]}`...)
		}
		s.emit(emit)
	}
}

var emptyString = jsonscan.String(`""`)

func (s *chatStream) content(text jsonscan.String, emit func(sse.Event)) {
	n := chars(text)
	s.at += n
	s.after.Text(n)
	s.text("content", text, emit)
}

func (s *chatStream) citation(b *openBlock, raw json.RawMessage, emit func(sse.Event)) {
	if a := annotation(raw, b.start, s.at); a != nil {
		s.buf = append(append(append(s.delta0(), `{"annotations":[`...), a...), `]}`...)
		s.emit(emit)
	}
}

func (s *chatStream) delta(e *event, emit func(sse.Event)) {
	b := s.blocks[e.Index]
	if b == nil {
		return
	}
	switch e.Delta.Type {
	case "text_delta":
		if b.kind == "text" && !e.Delta.Text.Empty() {
			s.content(e.Delta.Text, emit)
		}
	case "citations_delta":
		if b.kind == "text" {
			s.citation(b, e.Delta.Citation, emit)
		}
	case "thinking_delta":
		if !e.Delta.Thinking.Empty() {
			b.thinking = jsonscan.AppendInner(b.thinking, e.Delta.Thinking)
			s.text("reasoning_content", e.Delta.Thinking, emit)
		}
	case "signature_delta":
		b.signature = jsonscan.AppendInner(b.signature, e.Delta.Signature)
	case "input_json_delta":
		if b.search != nil {
			b.search.input = jsonscan.AppendUnquoted(b.search.input, e.Delta.PartialJSON)
		}
		if b.kind == "tool_use" && !e.Delta.PartialJSON.Empty() {
			b.arguments = true
			s.arguments(b, e.Delta.PartialJSON, emit)
		}
	}
}

// arguments emits a piece of a tool call's input.
func (s *chatStream) arguments(b *openBlock, piece jsonscan.String, emit func(sse.Event)) {
	switch {
	case b.hidden:
		s.content(piece, emit)
		return
	case s.r.legacy:
		s.buf = append(s.delta0(), `{"function_call":{"arguments":`...)
		s.buf = append(jsonscan.AppendString(s.buf, piece), `}}`...)
	default:
		s.buf = strconv.AppendInt(append(s.delta0(), `{"tool_calls":[{"index":`...), int64(b.call), 10)
		s.buf = append(jsonscan.AppendString(append(s.buf, `,"function":{"arguments":`...), piece), `}}]}`...)
	}
	s.emit(emit)
}

// close closes a block. A call without input gets {}, and signed thinking is passed
// on as a whole, so that a client can send it back unchanged.
func (s *chatStream) close(index int, emit func(sse.Event)) {
	b := s.blocks[index]
	if b == nil {
		return
	}
	delete(s.blocks, index)
	switch {
	case b.kind == "tool_use" && !b.arguments:
		input := jsonscan.String(`"{}"`)
		if jsonscan.KindOf(b.input) == '{' {
			input = jsonscan.AppendCompactQuoted(nil, b.input)
		}
		s.arguments(b, input, emit)
	case b.kind == "thinking" && len(b.signature) > 0:
		s.buf = append(s.delta0(), `{"reasoning_details":[`...)
		s.buf = append(append(append(s.buf, `{"type":"thinking","text":"`...), b.thinking...), `","signature":"`...)
		s.buf = append(s.after.Append(append(append(s.buf, b.signature...), '"')), `}]}`...)
		s.after = nil
		s.emit(emit)
	}
}

func (s *chatStream) finish(emit func(sse.Event)) {
	if !s.started {
		return // End will report that nothing arrived
	}
	s.terminated = true
	finish := finishOf(s.reason)
	switch {
	case finish == "tool_calls" && s.answer && s.calls == 0:
		finish = "stop"
	case finish == "tool_calls" && s.r.legacy:
		finish = "function_call"
	}
	if s.reason == "refusal" {
		if s.details.Explanation == "" {
			s.details.Explanation = declined
		}
		s.text("refusal", jsonscan.Quote(s.details.Explanation), emit)
	}
	s.buf = append(s.delta0(), `{},"logprobs":null,"finish_reason":`...)
	s.buf = jsonscan.AppendQuote(s.buf, finish)
	if s.reason != "" {
		s.buf = jsonscan.AppendQuote(append(s.buf, `,"native_finish_reason":`...), s.reason)
	}
	s.buf = append(append(s.buf, '}'), s.tail...)
	emit(sse.Event{Data: s.buf})
	if s.r.usage {
		s.buf = append(append(s.buf[:0], s.head...), `],"usage":`...)
		s.buf = append(s.usage.appendChat(s.buf), '}')
		emit(sse.Event{Data: s.buf})
	}
	emit(sse.Event{Data: []byte("[DONE]")})
}
