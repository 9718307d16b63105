package responses

import (
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// upEvent is one event of a response's stream. Only the fields of its type are set.
type upEvent struct {
	Type     string          `json:"type"`
	Index    int             `json:"output_index"`
	Delta    jsonscan.Value  `json:"delta"`
	Text     jsonscan.String `json:"text"`
	Item     jsonscan.Value  `json:"item"`
	Note     jsonscan.Value  `json:"annotation"`
	Logprobs jsonscan.Value  `json:"logprobs"`
	Response jsonscan.Value  `json:"response"`
	Error    jsonscan.Value  `json:"error"`
}

// chatStream translates the events of a response into chat chunks. It writes chunks
// by appending to one buffer; the parts that never change are made once.
type chatStream struct {
	r     *chatReply
	model string
	head  []byte // of each chunk, up to the delta
	buf   []byte

	started    bool
	terminated bool
	err        error // why the stream ended

	items   map[int]*streamedItem
	calls   int      // number of tool calls so far
	thought bool     // thinking was passed on
	pending []string // encrypted reasoning before an item that has not arrived yet
	at      int      // number of characters in finished parts of text
	length  int      // number of characters of text so far

	searches int
}

// streamedItem is an item of the output that is, or was, open.
type streamedItem struct {
	kind string
	call int  // number of the call
	sent bool // some of its text, or arguments, was sent
	done bool
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
	if string(ev.Data) == "[DONE]" {
		return nil
	}
	var e upEvent
	if err := jsonscan.Decode(ev.Data, &e); err != nil {
		return unreadableResponse(err)
	}
	switch e.Type {
	case "response.created", "response.in_progress", "response.queued":
		return s.start(e.Response, emit)
	case "response.completed", "response.incomplete":
		return s.finish(e.Response, emit)
	case "response.failed", "response.cancelled":
		s.fail(e.Response.Get("error"), emit)
		return nil
	case "error":
		if !e.Error.Set() {
			e.Error = jsonscan.Raw(ev.Data)
		}
		s.fail(e.Error, emit)
		return nil
	}
	if err := s.start(jsonscan.Value{}, emit); err != nil {
		return err
	}
	switch e.Type {
	case "response.output_item.added":
		return s.open(&e, emit)
	case "response.output_item.done":
		return s.close(&e, emit)
	case "response.reasoning_summary_part.added":
		s.paragraph(&e, emit)
	case "response.output_text.annotation.added":
		if a := chatAnnotation(e.Note, s.at); !a.Absent() {
			s.value("annotations", jsonscan.Arr([]jsonscan.Value{a}), emit)
		}
	case "response.content_part.done":
		s.at = s.length
	default:
		s.delta(&e, emit)
	}
	return nil
}

// delta passes a piece of text or of arguments on.
func (s *chatStream) delta(e *upEvent, emit func(sse.Event)) {
	piece := e.Delta.String()
	if piece.Empty() {
		return
	}
	it := s.item(e.Index)
	switch e.Type {
	case "response.output_text.delta":
		s.length += len([]rune(piece.Text()))
		s.text("content", piece, e.Logprobs, emit)
	case "response.refusal.delta":
		s.text("refusal", piece, jsonscan.Value{}, emit)
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		s.thought = true
		s.text("reasoning_content", piece, jsonscan.Value{}, emit)
	case "response.function_call_arguments.delta":
		s.arguments(it, piece, emit)
	case "response.custom_tool_call_input.delta":
		s.input(it, piece, emit)
	default:
		return // of a tool that the provider runs itself, or of an unknown kind
	}
	it.sent = true
}

func (s *chatStream) item(index int) *streamedItem {
	if s.items == nil {
		s.items = map[int]*streamedItem{}
	}
	if s.items[index] == nil {
		s.items[index] = &streamedItem{}
	}
	return s.items[index]
}

// paragraph separates the paragraphs of a summary, and the summaries of a response.
func (s *chatStream) paragraph(_ *upEvent, emit func(sse.Event)) {
	if s.thought {
		s.text("reasoning_content", jsonscan.String(`"\n\n"`), jsonscan.Value{}, emit)
	}
}

// open handles the beginning of an item. It sends the beginning of a call at once.
func (s *chatStream) open(e *upEvent, emit func(sse.Event)) error {
	var it upItem
	if err := e.Item.Decode(&it); err != nil {
		return unreadableResponse(err)
	}
	s.begin(s.item(e.Index), &it, emit)
	return nil
}

func (s *chatStream) begin(o *streamedItem, it *upItem, emit func(sse.Event)) {
	if o.kind != "" {
		return
	}
	o.kind = it.Type
	switch it.Type {
	case "message":
		s.flush("", emit)
	case "function_call", "custom_tool_call":
		s.flush(it.CallID, emit)
		o.call = s.calls
		s.calls++
		it.Arguments, it.Input = jsonscan.String(`""`), jsonscan.String(`""`)
		s.beginCall(o, it, emit)
	}
}

func (s *chatStream) beginCall(o *streamedItem, it *upItem, emit func(sse.Event)) {
	function := jsonscan.Obj(member("name", orEmpty(it.Name)), member("arguments", jsonscan.Lit(`""`)))
	switch {
	case s.r.legacy:
		s.value("function_call", function, emit)
		return
	case it.Type == "custom_tool_call":
		custom := jsonscan.Obj(member("name", orEmpty(it.Name)), member("input", jsonscan.Lit(`""`)))
		s.call(o, []jsonscan.Field{member("id", jsonscan.Quoted(it.CallID)), member("type", jsonscan.Lit(`"custom"`)), member("custom", custom)}, emit)
	default:
		s.call(o, []jsonscan.Field{member("id", jsonscan.Quoted(it.CallID)), member("type", jsonscan.Lit(`"function"`)), member("function", function)}, emit)
	}
}

// close handles the end of an item, with the members that only a complete item has.
func (s *chatStream) close(e *upEvent, emit func(sse.Event)) error {
	var it upItem
	if err := e.Item.Decode(&it); err != nil {
		return unreadableResponse(err)
	}
	o := s.item(e.Index)
	if o.done {
		return nil
	}
	arguments, input := it.Arguments, it.Input
	s.begin(o, &it, emit)
	o.done = true
	switch it.Type {
	case "reasoning":
		if !o.sent {
			for _, thought := range appendThoughts(nil, &it) {
				s.paragraph(e, emit)
				s.thought = true
				s.text("reasoning_content", thought, jsonscan.Value{}, emit)
			}
		}
		if !it.Encrypted.Empty() {
			s.pending = append(s.pending, it.Encrypted.Text())
		}
	case "web_search_call":
		if list := it.Action.entries(); len(list) > 0 {
			s.searches += queries(list)
			s.value("web_searches", jsonscan.Raw(rawjson.Must(list)), emit)
		}
	case "message":
		if !o.sent {
			s.whole(&it, emit)
		}
	case "function_call":
		if arguments.Blank() {
			arguments = jsonscan.String(`"{}"`)
		}
		if !o.sent {
			s.arguments(o, arguments, emit)
		}
	case "custom_tool_call":
		if !o.sent && !input.Empty() {
			s.input(o, input, emit)
		}
	}
	return nil
}

// whole passes on a message that arrived without deltas.
func (s *chatStream) whole(it *upItem, emit func(sse.Event)) {
	for i := range it.Content {
		if p := &it.Content[i]; !p.Text.Empty() {
			s.text("content", p.Text, p.Logprobs, emit)
		} else if !p.Refusal.Empty() {
			s.text("refusal", p.Refusal, jsonscan.Value{}, emit)
		}
	}
}

func (s *chatStream) arguments(o *streamedItem, piece jsonscan.String, emit func(sse.Event)) {
	function := jsonscan.Obj(member("arguments", jsonscan.Str(piece)))
	if s.r.legacy {
		s.value("function_call", function, emit)
		return
	}
	s.call(o, []jsonscan.Field{member("function", function)}, emit)
}

func (s *chatStream) input(o *streamedItem, piece jsonscan.String, emit func(sse.Event)) {
	s.call(o, []jsonscan.Field{member("custom", jsonscan.Obj(member("input", jsonscan.Str(piece))))}, emit)
}

func (s *chatStream) call(o *streamedItem, fields []jsonscan.Field, emit func(sse.Event)) {
	call := jsonscan.Obj(append([]jsonscan.Field{member("index", jsonscan.Raw(strconv.AppendInt(nil, int64(o.call), 10)))}, fields...)...)
	s.value("tool_calls", jsonscan.Arr([]jsonscan.Value{call}), emit)
}

// flush passes on the reasoning that came before an item.
func (s *chatStream) flush(before string, emit func(sse.Event)) {
	if details := s.r.encrypted(s.pending, before); details != nil {
		s.value("reasoning_details", jsonscan.Arr(details), emit)
	}
	s.pending = nil
}

// start begins the completion with what is known about the response.
func (s *chatStream) start(response jsonscan.Value, emit func(sse.Event)) error {
	if s.started {
		return nil
	}
	s.started = true
	var resp upResponse
	if !response.Absent() {
		if err := response.Decode(&resp); err != nil {
			return unreadableResponse(err)
		}
	}
	if resp.Model != "" {
		s.model = resp.Model
	}
	s.head = jsonscan.AppendQuote([]byte(`{"id":`), s.r.id(resp.ID))
	s.head = strconv.AppendInt(append(s.head, `,"object":"chat.completion.chunk","created":`...), s.r.created(resp.CreatedAt), 10)
	s.head = append(jsonscan.AppendQuote(append(s.head, `,"model":`...), s.model), `,"choices":[`...)
	s.buf = append(s.delta0(), `{"role":"assistant","content":"","refusal":null}`...)
	s.send(`null`, jsonscan.Value{}, emit)
	return nil
}

// delta0 starts a chunk, up to its delta; send completes it.
func (s *chatStream) delta0() []byte {
	return append(append(s.buf[:0], s.head...), `{"index":0,"delta":`...)
}

func (s *chatStream) send(finish string, logprobs jsonscan.Value, emit func(sse.Event)) {
	s.buf = append(s.buf, `,"logprobs":`...)
	if logprobs.Kind() == '[' && !logprobs.Is("[]") {
		s.buf = append(logprobs.Append(append(s.buf, `{"content":`...)), `,"refusal":null}`...)
	} else {
		s.buf = append(s.buf, `null`...)
	}
	s.buf = append(append(append(s.buf, `,"finish_reason":`...), finish...), `}]`...)
	if s.r.usage {
		s.buf = append(s.buf, `,"usage":null`...)
	}
	s.buf = append(s.buf, '}')
	emit(sse.Event{Data: s.buf})
}

// text emits one chunk whose delta is a single string.
func (s *chatStream) text(name string, value jsonscan.String, logprobs jsonscan.Value, emit func(sse.Event)) {
	s.buf = append(append(append(s.delta0(), `{"`...), name...), `":`...)
	s.buf = append(jsonscan.AppendString(s.buf, value), '}')
	s.send(`null`, logprobs, emit)
}

// value emits one chunk whose delta has a single member.
func (s *chatStream) value(name string, value jsonscan.Value, emit func(sse.Event)) {
	s.buf = append(append(append(s.delta0(), `{"`...), name...), `":`...)
	s.buf = append(value.Append(s.buf), '}')
	s.send(`null`, jsonscan.Value{}, emit)
}

// finish ends the completion normally.
func (s *chatStream) finish(response jsonscan.Value, emit func(sse.Event)) error {
	var resp upResponse
	if err := response.Decode(&resp); err != nil {
		return unreadableResponse(err)
	}
	if err := s.start(response, emit); err != nil {
		return err
	}
	s.flush("", emit)
	s.terminated = true
	s.buf = append(s.delta0(), `{}`...)
	s.send(`"`+resp.finishReason(s.calls > 0, s.r.legacy)+`"`, jsonscan.Value{}, emit)
	if s.r.usage && resp.Usage != nil {
		s.buf = append(append(s.buf[:0], s.head...), `],"usage":`...)
		s.buf = append(resp.Usage.appendChat(s.buf, s.searches), '}')
		emit(sse.Event{Data: s.buf})
	}
	emit(sse.Event{Data: []byte("[DONE]")})
	return nil
}

// fail ends the completion with the provider's error.
func (s *chatStream) fail(raw jsonscan.Value, emit func(sse.Event)) {
	s.terminated, s.err = true, dialect.ErrProvider
	code, message := failed(raw)
	emit(sse.Event{Data: openai.Error{Message: message, Type: code, Param: raw.Get("param"), Code: jsonscan.Quoted(code)}.Body()})
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
