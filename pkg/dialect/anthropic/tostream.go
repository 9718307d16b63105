package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// messageStream translates chat chunks into Messages events. In Messages, only one
// block is open at a time: text, or another call, that arrives while a call is not
// complete has to wait for it.
type messageStream struct {
	r          *messageReply
	buf        []byte
	started    bool
	terminated bool
	err        error  // why the stream ended
	index      int    // of the block that is open, or was last open
	open       string // its type, or ""
	signed     bool   // the open thinking block has its signature
	thought    []byte // content of the open thinking block so far, decoded

	calls   []*streamCall
	byIndex map[int]*streamCall
	current *streamCall // the call whose block is open
	waiting []pending   // what arrived while a call was not complete
	refused bool

	cited    []dialect.URLCitation
	sources  []json.RawMessage // sources that the provider named outside of the message
	searches int               // number of searches that were shown
	late     []dialect.Search  // searches that arrived while a call was not complete

	finish *string           // nil until it arrives
	stop   [2]jsonscan.Value // what the chunk with the finish reason says about a stop sequence
	native string
	usage  *chatUsage
}

type streamCall struct {
	call      chatCall
	arguments []byte
	sent      int // number of bytes of arguments that were sent
	started   bool
	done      bool
}

type pending struct {
	kind string
	text jsonscan.String
}

var (
	textStart     = jsonscan.Lit(`{"type":"text","text":""}`)
	thinkingStart = jsonscan.Lit(`{"type":"thinking","thinking":"","signature":""}`)
)

// Event translates one chunk.
func (s *messageStream) Event(ev sse.Event, emit func(sse.Event)) error {
	switch {
	case s.terminated:
		return nil
	case ev.Data == nil:
		if ev.Comment != "" {
			emit(Ping())
		}
		return nil
	case string(ev.Data) == "[DONE]":
		if s.started {
			s.end(emit)
		}
		return nil
	}
	var c chunk
	if err := jsonscan.Decode(ev.Data, &c); err != nil {
		return fmt.Errorf("read chunk of chat stream: %w", err)
	}
	if rawjson.Set(c.Error) != nil {
		s.fail(dialect.ErrProvider, messagesError(0, nil, ev.Data), emit)
		return nil
	}
	if c.Usage != nil {
		s.usage = c.Usage
	}
	if found := c.Found(); found != nil {
		s.sources = found
	}
	s.start(&c, emit)
	for i := range c.Choices {
		choice := &c.Choices[i]
		if choice.Index != 0 {
			continue
		}
		s.delta(&choice.Delta, emit)
		if choice.Finish != nil && *choice.Finish != "" {
			s.finish = choice.Finish
			s.stop = [2]jsonscan.Value{copied(choice.Stop), copied(choice.Reason)}
		}
		if choice.Native != "" {
			s.native = choice.Native
		}
	}
	return nil
}

// End reports how the stream ended, unless an event already did. For providers that
// omit [DONE], a stream is complete once a finish reason has arrived.
func (s *messageStream) End(cause error, emit func(sse.Event)) error {
	switch {
	case s.terminated:
	case cause == nil && s.started && s.finish != nil:
		s.end(emit)
	default:
		s.fail(dialect.Incomplete(cause), Fault(dialect.Broken(cause)), emit)
	}
	return s.err
}

// copied copies a value into new memory, because the event's memory is reused.
func copied(v jsonscan.Value) jsonscan.Value {
	if v.String() == nil {
		return jsonscan.Value{}
	}
	return jsonscan.Raw(v.Append(nil))
}

// counted returns the usage that the provider reported or, until then, an estimate
// of the input's tokens.
func (s *messageStream) counted() *chatUsage {
	if s.usage == nil || s.usage.Prompt == 0 && s.usage.Completion == 0 {
		return &chatUsage{Prompt: int64(s.r.estimate())}
	}
	return s.usage
}

func (s *messageStream) fail(err error, body []byte, emit func(sse.Event)) {
	s.terminated, s.err = true, err
	emit(sse.Event{Name: "error", Data: body})
}

func (s *messageStream) start(c *chunk, emit func(sse.Event)) {
	if s.started {
		return
	}
	s.started = true
	b := s.r.appendHead([]byte(`{"type":"message_start","message":`), "msg_"+s.r.options.NewID(), c.Model)
	b = append(b, `[],"stop_reason":null,"stop_sequence":null,"usage":`...)
	b = append(s.counted().appendMessages(b, 0), `}}`...)
	emit(sse.Event{Name: "message_start", Data: b})
}

func (s *messageStream) delta(d *spoken, emit func(sse.Event)) {
	text, thought := jsonscan.String(d.Text()), jsonscan.String(d.Thought())
	if thought != nil {
		s.passText("thinking", thought, emit)
	}
	for _, raw := range d.ReasoningDetails {
		s.detail(raw, thought != nil, emit)
	}
	if text == nil {
		s.cite(d.Annotations, emit) // of text that was sent before
	}
	s.search(d.Searches, emit)
	if text != nil {
		s.passText("text", text, emit)
		s.cite(d.Annotations, emit)
	}
	if !d.Refusal.Empty() {
		s.refused = true
		s.passText("text", d.Refusal, emit)
	}
	for i := range d.Images {
		s.passText("text", jsonscan.Quote(d.Images[i].InWords()), emit)
	}
	calls := d.calls()
	for i := range calls {
		s.call(&calls[i], emit)
	}
}

// passText passes text or thinking on, in a block of its kind.
func (s *messageStream) passText(kind string, text jsonscan.String, emit func(sse.Event)) {
	if s.current != nil && !s.complete(emit) {
		s.waiting = append(s.waiting, pending{kind, bytes.Clone(text)})
		return
	}
	if s.open != kind {
		s.closeBlock(emit)
		if kind == "text" {
			s.openBlock("text", textStart, emit)
		} else {
			s.openBlock("thinking", thinkingStart, emit)
		}
	}
	if kind == "text" {
		s.piece("text_delta", "text", text, emit)
		return
	}
	s.thought = jsonscan.AppendUnquoted(s.thought, text)
	s.piece("thinking_delta", "thinking", text, emit)
}

// detail passes an entry of reasoning_details on. A signature closes the thinking
// that it signs, whose text has usually been passed on already.
func (s *messageStream) detail(raw json.RawMessage, passed bool, emit func(sse.Event)) {
	var d detail
	jsonscan.Decode(raw, &d)
	if s.current != nil && !s.complete(emit) {
		return // it would belong to no block
	}
	switch {
	case d.Type == "thinking", d.Type == "reasoning.text":
		if !d.Text.Empty() && !passed && (s.open != "thinking" || d.Signature.Empty() || d.Text.Text() != string(s.thought)) {
			s.passText("thinking", d.Text, emit)
		}
		if d.Signature.Empty() {
			return
		}
		if s.open != "thinking" {
			s.closeBlock(emit)
			s.openBlock("thinking", thinkingStart, emit)
		}
		s.piece("signature_delta", "signature", d.Signature, emit)
		s.signed = true
		s.closeBlock(emit)
	case d.Type == "redacted" && !d.Data.Empty():
		s.redacted(jsonscan.Str(d.Data), emit)
	default:
		s.redacted(text(sealedDetail(raw)), emit)
	}
}

func (s *messageStream) redacted(data jsonscan.Value, emit func(sse.Event)) {
	s.closeBlock(emit)
	s.openBlock("redacted_thinking", redactedBlock(data), emit)
	s.closeBlock(emit)
}

// call handles a piece of a tool call.
func (s *messageStream) call(piece *chatCall, emit func(sse.Event)) {
	if s.byIndex == nil {
		s.byIndex = map[int]*streamCall{}
	}
	c := s.byIndex[piece.Index]
	// Some providers number all calls 0 and distinguish them only by their ids.
	if c == nil || piece.ID != "" && c.call.ID != "" && piece.ID != c.call.ID && piece.Function.Name != "" {
		c = &streamCall{}
		s.byIndex[piece.Index] = c
		s.calls = append(s.calls, c)
	}
	if c.call.ID == "" {
		c.call.ID = piece.ID
	}
	if c.call.Function.Name == "" {
		c.call.Function.Name = piece.Function.Name
	}
	if len(c.call.Extra) == 0 {
		c.call.Extra = bytes.Clone(piece.Extra)
	}
	if c.done {
		return
	}
	c.arguments = jsonscan.AppendUnquoted(c.arguments, piece.Function.Arguments)
	if c != s.current {
		if c.call.Function.Name == "" || s.current != nil && !s.complete(emit) {
			return
		}
		s.beginCall(c, emit)
	}
	s.pass(c, emit)
}

// complete reports whether the open call has all of its input, and closes it in
// that case.
func (s *messageStream) complete(emit func(sse.Event)) bool {
	if !isObject(s.current.arguments) {
		return false
	}
	s.closeBlock(emit)
	waiting := s.waiting
	s.waiting = nil
	for _, p := range waiting {
		s.passText(p.kind, p.text, emit)
	}
	return true
}

func (s *messageStream) beginCall(c *streamCall, emit func(sse.Event)) {
	s.closeBlock(emit)
	c.started = true
	id := callID(&c.call, s.r.options.NewID)
	s.openBlock("tool_use", toolBlock(id, s.r.toolName(c.call.Function.Name), jsonscan.Lit("{}")), emit)
	s.current = c
}

// pass sends the new part of a call's arguments.
func (s *messageStream) pass(c *streamCall, emit func(sse.Event)) {
	if c.sent < len(c.arguments) {
		s.piece("input_json_delta", "partial_json", jsonscan.AppendQuote(nil, c.arguments[c.sent:]), emit)
		c.sent = len(c.arguments)
	}
}

func (s *messageStream) openBlock(kind string, block jsonscan.Value, emit func(sse.Event)) {
	s.index++
	s.open, s.signed, s.thought = kind, false, s.thought[:0]
	s.buf = strconv.AppendInt(append(s.buf[:0], `{"type":"content_block_start","index":`...), int64(s.index), 10)
	s.buf = append(block.Append(append(s.buf, `,"content_block":`...)), '}')
	emit(sse.Event{Name: "content_block_start", Data: s.buf})
}

func (s *messageStream) piece(kind, field string, value jsonscan.String, emit func(sse.Event)) {
	s.buf = strconv.AppendInt(append(s.buf[:0], `{"type":"content_block_delta","index":`...), int64(s.index), 10)
	s.buf = append(append(append(s.buf, `,"delta":{"type":"`...), kind...), `","`...)
	s.buf = append(append(s.buf, field...), `":`...)
	s.buf = append(jsonscan.AppendString(s.buf, value), `}}`...)
	emit(sse.Event{Name: "content_block_delta", Data: s.buf})
}

// closeBlock closes the open block, if there is one.
func (s *messageStream) closeBlock(emit func(sse.Event)) {
	if s.open == "" {
		return
	}
	if c := s.current; c != nil {
		if len(bytes.TrimSpace(c.arguments)) == 0 {
			s.piece("input_json_delta", "partial_json", jsonscan.String(`"{}"`), emit)
		}
		c.done, s.current = true, nil
	}
	if s.open == "thinking" && !s.signed {
		s.piece("signature_delta", "signature", jsonscan.Quote(unsigned), emit)
	}
	s.open = ""
	s.buf = strconv.AppendInt(append(s.buf[:0], `{"type":"content_block_stop","index":`...), int64(s.index), 10)
	s.buf = append(s.buf, '}')
	emit(sse.Event{Name: "content_block_stop", Data: s.buf})
}

// end ends the stream normally.
func (s *messageStream) end(emit func(sse.Event)) {
	s.terminated = true
	if len(s.cited) == 0 {
		s.cite(s.sources, emit)
	}
	s.closeBlock(emit)
	for _, c := range s.calls {
		if !c.done {
			s.beginCall(c, emit)
			s.pass(c, emit)
			s.closeBlock(emit)
		}
	}
	for _, p := range s.waiting {
		s.passText(p.kind, p.text, emit) // no call is open any more
	}
	s.closeBlock(emit)
	s.search(s.late, emit)
	if s.searches == 0 {
		s.search(s.r.searches(nil, s.cited), emit)
	}
	finish := ""
	if s.finish != nil {
		finish = *s.finish
	}
	s.buf = append(s.buf[:0], `{"type":"message_delta","delta":{"stop_reason":`...)
	stop, sequence := s.r.ended(finish, s.native, s.stop[0], s.stop[1], len(s.calls) > 0, s.refused)
	s.buf = append(jsonscan.AppendQuote(s.buf, stop), `,"stop_sequence":`...)
	s.buf = append(sequence.Append(s.buf), `},"usage":`...)
	s.buf = append(s.counted().appendMessages(s.buf, s.searches), '}')
	emit(sse.Event{Name: "message_delta", Data: s.buf})
	emit(sse.Event{Name: "message_stop", Data: []byte(`{"type":"message_stop"}`)})
}

// search sends the searches that the provider made, each with its results.
func (s *messageStream) search(list []dialect.Search, emit func(sse.Event)) {
	if len(list) == 0 {
		return
	}
	if s.current != nil && !s.complete(emit) {
		s.late = append(s.late, list...)
		return
	}
	list = s.r.searches(list, nil)
	for i := range list {
		use, result := s.r.searchBlocks(&list[i])
		input := use.Get("input").JSON()
		use.Put("input", jsonscan.Lit("{}"))
		s.closeBlock(emit)
		s.openBlock("server_tool_use", use, emit)
		s.piece("input_json_delta", "partial_json", jsonscan.AppendQuote(nil, []byte(input)), emit)
		s.closeBlock(emit)
		s.openBlock("web_search_tool_result", result, emit)
		s.closeBlock(emit)
		s.searches++
	}
}

// cite sends citations for the open text block.
func (s *messageStream) cite(annotations []json.RawMessage, emit func(sse.Event)) {
	cited := dialect.ReadCitations(annotations)
	s.cited = append(s.cited, cited...)
	if s.open != "text" {
		return
	}
	for i := range cited {
		s.buf = strconv.AppendInt(append(s.buf[:0], `{"type":"content_block_delta","index":`...), int64(s.index), 10)
		s.buf = citation(&cited[i]).Append(append(s.buf, `,"delta":{"type":"citations_delta","citation":`...))
		s.buf = append(s.buf, `}}`...)
		emit(sse.Event{Name: "content_block_delta", Data: s.buf})
	}
}
