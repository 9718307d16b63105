package responses

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// stream translates chat chunks into events of the Responses API. Only one item of
// thinking or text is open at a time. Tool calls stay open until the model has
// finished, because their pieces may arrive interleaved.
type stream struct {
	r          *reply
	id         string
	seq        int
	created    int64
	model      string
	started    bool
	terminated bool
	err        error // why the stream ended
	reason     string
	usage      *chatUsage
	buf        []byte
	done       bool // [DONE] has arrived

	items     []any // by output index; set when an item is done
	reasoning *openReasoning
	message   *openMessage
	calls     map[int]*openCall // by position; nil for a closed one
	numbering openai.Numbering
	turn      assistantTurn
	before    int               // number of characters in closed parts of text
	sources   []json.RawMessage // named by the provider outside of the message
}

type openReasoning struct {
	index   int
	id      string
	text    strings.Builder
	details []json.RawMessage
	summary bool // the summary part was announced

	after    dialect.Gap     // what the turn contained before the open detail
	signed   strings.Builder // thinking in details since the last signature
	unsigned strings.Builder // thinking as text since the last signature
}

// detail adds one piece of reasoning_details. A signature without the text that it
// signs, which was streamed as reasoning_content, is joined with that text.
func (o *openReasoning) detail(raw json.RawMessage) {
	var t thinkingDetail
	if jsonscan.Decode(raw, &t) != nil || t.Type != "thinking" {
		o.details = append(o.details, append(json.RawMessage{}, raw...))
		return
	}
	o.signed.WriteString(t.Text)
	o.after = append(o.after, t.After...)
	if t.Signature == "" {
		return
	}
	if t.Text = o.signed.String(); t.Text == "" {
		t.Text = o.unsigned.String()
	}
	t.After, o.after = o.after, nil
	o.details = append(o.details, rawjson.Must(t))
	o.signed.Reset()
	o.unsigned.Reset()
}

// rest adds thinking that ended without a signature.
func (o *openReasoning) rest() {
	if o.signed.Len() > 0 {
		o.details = append(o.details, rawjson.Must(thinkingDetail{Type: "thinking", Text: o.signed.String(), After: o.after}))
	}
}

type thinkingDetail struct {
	Type      string      `json:"type"`
	Text      string      `json:"text"`
	Signature string      `json:"signature,omitempty"`
	After     dialect.Gap `json:"after,omitempty"`
}

type openMessage struct {
	index         int
	id            string
	text, refusal strings.Builder
	part          string // type of the open part
	content       []any
	annotations   []any // of the open part
}

type openCall struct {
	index     int
	id        string
	callID    string
	name      string
	arguments strings.Builder
	announced bool
}

type chunk struct {
	ID      string          `json:"id"`
	Created float64         `json:"created"`
	Model   string          `json:"model"`
	Usage   *chatUsage      `json:"usage"`
	Error   json.RawMessage `json:"error"`
	dialect.Sourced
	Choices []struct {
		Index        int     `json:"index"`
		FinishReason *string `json:"finish_reason"`
		Delta        struct {
			openai.MessageText
			dialect.Searched
			dialect.Pictured
			Refusal          string                 `json:"refusal"`
			ReasoningDetails []json.RawMessage      `json:"reasoning_details"`
			ToolCalls        []openai.ToolCallDelta `json:"tool_calls"`
		} `json:"delta"`
	} `json:"choices"`
}

type emitter func(sse.Event)

// send emits one event with its type, the fields and the next sequence number.
func (s *stream) send(emit emitter, kind string, fields map[string]any) {
	fields["type"] = kind
	fields["sequence_number"] = s.seq
	s.seq++
	emit(sse.Event{Name: kind, Data: rawjson.Must(fields)})
}

// delta is a piece of text or of arguments. Most events are deltas.
type delta struct {
	kind, text, item string
	output, content  int // content is -1 if there is no part index
	logprobs         bool
	summary          bool
}

// sendDelta is send for a delta, with the fields in the same order.
func (s *stream) sendDelta(emit emitter, d delta) {
	b := append(s.buf[:0], '{')
	if d.content >= 0 {
		b = append(strconv.AppendInt(append(b, `"content_index":`...), int64(d.content), 10), ',')
	}
	b = jsonscan.AppendQuote(append(b, `"delta":`...), d.text)
	b = jsonscan.AppendQuote(append(b, `,"item_id":`...), d.item)
	if d.logprobs {
		b = append(b, `,"logprobs":[]`...)
	}
	b = strconv.AppendInt(append(b, `,"output_index":`...), int64(d.output), 10)
	b = strconv.AppendInt(append(b, `,"sequence_number":`...), int64(s.seq), 10)
	if d.summary {
		b = append(b, `,"summary_index":0`...)
	}
	s.buf = append(jsonscan.AppendQuote(append(b, `,"type":`...), d.kind), '}')
	s.seq++
	emit(sse.Event{Name: d.kind, Data: s.buf})
}

func (s *stream) Event(ev sse.Event, emit func(sse.Event)) error {
	if s.terminated || s.done {
		return nil
	}
	if ev.Data == nil {
		if ev.Comment != "" {
			emit(sse.Event{Comment: ev.Comment})
		}
		return nil
	}
	if string(ev.Data) == "[DONE]" {
		s.done = true
		return nil
	}
	var c chunk
	if err := jsonscan.Decode(ev.Data, &c); err != nil {
		return fmt.Errorf("read chat chunk: %w", err)
	}
	if raw := rawjson.Set(c.Error); raw != nil {
		code, message := errorOf(raw)
		s.fail(dialect.ErrProvider, emit, code, message)
		return nil
	}
	s.begin(&c, emit)
	if c.Usage != nil {
		s.usage = c.Usage
	}
	if found := c.Found(); found != nil {
		s.sources = found
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 {
			continue
		}
		d := &choice.Delta
		text, _ := rawjson.Text(d.Text())
		thought, _ := rawjson.Text(d.Thought())
		s.passThinking(emit, thought, d.ReasoningDetails)
		s.searched(emit, d.Searches)
		s.passText(emit, "output_text", text)
		s.annotate(emit, d.Annotations)
		s.pictures(emit, d.Images)
		s.passText(emit, "refusal", d.Refusal)
		for i := range d.ToolCalls {
			t := &d.ToolCalls[i]
			place := s.numbering.Place(t.Index, t.ID, t.Function.Name)
			s.callDelta(emit, place, t.ID, t.Function.Name, t.Function.Arguments)
		}
		if choice.FinishReason != nil && *choice.FinishReason != "" {
			s.reason = *choice.FinishReason
		}
	}
	return nil
}

// errorOf reads an error: OpenAI's object, or a part of it.
func errorOf(raw json.RawMessage) (code, message string) {
	var e struct {
		Message string          `json:"message"`
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
	}
	if jsonscan.Decode(raw, &e) != nil || e.Message == "" {
		if e.Message, _ = rawjson.Text(raw); e.Message == "" {
			e.Message = string(rawjson.Compact(raw))
		}
	}
	code = e.Type
	if word, ok := jsonscan.Text(e.Code); ok && word != "" {
		code = word
	}
	if code == "" {
		code = "upstream_error"
	}
	return code, e.Message
}

func (s *stream) begin(c *chunk, emit emitter) {
	if s.started {
		return
	}
	s.started = true
	s.created, s.model = int64(c.Created), c.Model
	if s.created == 0 {
		s.created = s.r.options.Now().Unix()
	}
	frame := s.r.frame(s.id, s.created, s.model, "in_progress")
	s.send(emit, "response.created", map[string]any{"response": frame})
	s.send(emit, "response.in_progress", map[string]any{"response": frame})
}

func (s *stream) next() int {
	s.items = append(s.items, nil)
	return len(s.items) - 1
}

func (s *stream) added(emit emitter, index int, item any) {
	s.send(emit, "response.output_item.added", map[string]any{"output_index": index, "item": item})
}

func (s *stream) doneItem(emit emitter, index int, item any) {
	s.items[index] = item
	s.send(emit, "response.output_item.done", map[string]any{"output_index": index, "item": item})
}

func (s *stream) passThinking(emit emitter, text string, details []json.RawMessage) {
	if text == "" && len(details) == 0 {
		return
	}
	if s.reasoning == nil {
		s.closeWholeCalls(emit)
		s.closeMessage(emit, "completed")
		s.reasoning = &openReasoning{index: s.next(), id: "rs_" + s.r.options.NewID()}
		s.added(emit, s.reasoning.index, s.r.reasoning(s.reasoning.id, "", nil))
	}
	o := s.reasoning
	if text != "" {
		s.summarise(emit, text)
	}
	for _, raw := range details {
		o.detail(raw)
	}
}

// summarise sends a piece of thinking.
func (s *stream) summarise(emit emitter, text string) {
	o := s.reasoning
	if !o.summary {
		o.summary = true
		s.send(emit, "response.reasoning_summary_part.added", map[string]any{"item_id": o.id, "output_index": o.index, "summary_index": 0, "part": summaryPart{"summary_text", ""}})
	}
	o.text.WriteString(text)
	o.unsigned.WriteString(text)
	s.sendDelta(emit, delta{kind: "response.reasoning_summary_text.delta", text: text, item: o.id, output: o.index, content: -1, summary: true})
}

func (s *stream) closeReasoning(emit emitter) {
	o := s.reasoning
	if o == nil {
		return
	}
	s.reasoning = nil
	text := o.text.String()
	if o.summary {
		at := func(more map[string]any) map[string]any {
			more["item_id"], more["output_index"], more["summary_index"] = o.id, o.index, 0
			return more
		}
		s.send(emit, "response.reasoning_summary_text.done", at(map[string]any{"text": text}))
		s.send(emit, "response.reasoning_summary_part.done", at(map[string]any{"part": summaryPart{"summary_text", text}}))
	}
	o.rest()
	details := o.details
	s.turn.reasoning = append(s.turn.reasoning, jsonscan.Quote(text))
	s.turn.details = append(s.turn.details, details...)
	s.doneItem(emit, o.index, s.r.reasoning(o.id, text, details))
}

// passText adds text to the open message. kind is the part's type.
func (s *stream) passText(emit emitter, kind, text string) {
	if text == "" {
		return
	}
	s.closeReasoning(emit)
	if s.message == nil {
		s.closeWholeCalls(emit)
		s.message = &openMessage{index: s.next(), id: "msg_" + s.r.options.NewID(), content: []any{}}
		s.added(emit, s.message.index, messageItem{s.message.id, "message", "in_progress", "assistant", []any{}})
	}
	m := s.message
	if m.part != kind {
		s.closePart(emit)
		m.part = kind
		var part any = newTextPart("")
		if kind == "refusal" {
			part = refusalPart{Type: "refusal"}
		}
		s.send(emit, "response.content_part.added", s.partFields(map[string]any{"part": part}))
	}
	d := delta{kind: "response.refusal.delta", text: text, item: m.id, output: m.index, content: len(m.content)}
	if kind == "refusal" {
		m.refusal.WriteString(text)
	} else {
		m.text.WriteString(text)
		d.kind, d.logprobs = "response.output_text.delta", true
	}
	s.sendDelta(emit, d)
}

// partFields adds the position of the open part of the open message.
func (s *stream) partFields(fields map[string]any) map[string]any {
	fields["item_id"], fields["output_index"], fields["content_index"] = s.message.id, s.message.index, len(s.message.content)
	return fields
}

func (s *stream) closePart(emit emitter) {
	m := s.message
	switch m.part {
	case "output_text":
		text := m.text.String()
		s.turn.text = append(s.turn.text, jsonscan.Quote(text))
		s.before += utf8.RuneCountInString(text)
		part := newTextPart(text, m.annotations...)
		m.annotations = nil
		s.send(emit, "response.output_text.done", s.partFields(map[string]any{"text": text, "logprobs": []any{}}))
		s.send(emit, "response.content_part.done", s.partFields(map[string]any{"part": part}))
		m.content = append(m.content, part)
		m.text.Reset()
	case "refusal":
		text := m.refusal.String()
		s.turn.refusal = append(s.turn.refusal, jsonscan.Quote(text))
		part := refusalPart{"refusal", text}
		s.send(emit, "response.refusal.done", s.partFields(map[string]any{"refusal": text}))
		s.send(emit, "response.content_part.done", s.partFields(map[string]any{"part": part}))
		m.content = append(m.content, part)
		m.refusal.Reset()
	}
	m.part = ""
}

func (s *stream) closeMessage(emit emitter, status string) {
	m := s.message
	if m == nil {
		return
	}
	s.closePart(emit)
	s.message = nil
	s.doneItem(emit, m.index, messageItem{m.id, "message", status, "assistant", m.content})
}

func (s *stream) callDelta(emit emitter, place int, id, name, arguments string) {
	o, known := s.calls[place]
	if known && o == nil {
		return // it was closed when its arguments were complete
	}
	if o == nil {
		s.closeReasoning(emit)
		s.closeMessage(emit, "completed")
		o = &openCall{index: s.next(), id: s.r.options.NewID()}
		s.calls[place] = o
	}
	if id != "" {
		o.callID = id
	}
	if o.name == "" {
		o.name = name
	}
	if !o.announced && o.name != "" {
		o.announced = true
		s.added(emit, o.index, s.r.callItem(o.id, o.callID, o.name, "", "in_progress"))
	}
	if arguments == "" {
		return
	}
	o.arguments.WriteString(arguments)
	// The text of a custom tool, and the action of a local tool, are sent when
	// complete.
	if t := s.r.tools[o.name]; o.announced && !t.custom && t.local == "" {
		s.sendDelta(emit, delta{kind: "response.function_call_arguments.delta", text: arguments, item: "fc_" + o.id, output: o.index, content: -1})
	}
}

// closeWholeCalls closes the calls whose arguments are complete before an item of
// another kind begins, because clients store the items in the order in which they
// are done.
func (s *stream) closeWholeCalls(emit emitter) {
	s.close(emit, "completed", func(o *openCall) bool {
		return jsonscan.KindOf([]byte(o.arguments.String())) == '{' && jsonscan.Valid([]byte(o.arguments.String()))
	})
}

func (s *stream) closeCalls(emit emitter, status string) {
	s.close(emit, status, func(*openCall) bool { return true })
}

// close closes the open calls that chosen selects.
func (s *stream) close(emit emitter, status string, chosen func(*openCall) bool) {
	var places []int
	for place, o := range s.calls {
		if o != nil && chosen(o) {
			places = append(places, place)
		}
	}
	sort.Slice(places, func(i, j int) bool { return s.calls[places[i]].index < s.calls[places[j]].index })
	for _, place := range places {
		o := s.calls[place]
		s.calls[place] = nil
		arguments := o.arguments.String()
		if !o.announced {
			s.added(emit, o.index, s.r.callItem(o.id, o.callID, o.name, "", "in_progress"))
		}
		s.turn.calls = append(s.turn.calls, toolCall{ID: o.callID, Type: "function", Function: callFunction{o.name, jsonscan.Quote(arguments)}})
		if s.r.tools[o.name].local != "" {
			s.doneItem(emit, o.index, s.r.callItem(o.id, o.callID, o.name, arguments, status))
			continue
		}
		it := s.r.call(o.id, o.callID, o.name, arguments, status)
		at := map[string]any{"item_id": it.ID, "output_index": o.index}
		if it.Input != nil {
			s.send(emit, "response.custom_tool_call_input.delta", map[string]any{"item_id": it.ID, "output_index": o.index, "delta": *it.Input})
			at["input"] = *it.Input
			s.send(emit, "response.custom_tool_call_input.done", at)
		} else {
			at["arguments"], at["name"] = arguments, it.Name
			s.send(emit, "response.function_call_arguments.done", at)
		}
		s.doneItem(emit, o.index, it)
	}
}

func (s *stream) End(cause error, emit func(sse.Event)) error {
	if s.terminated {
		return s.err
	}
	if cause != nil || s.reason == "" {
		f := dialect.Broken(cause)
		s.fail(dialect.Incomplete(cause), emit, f.Kind.Type(), f.Error())
		return s.err
	}
	s.terminated = true
	status, details := finish(s.reason)
	if s.message != nil && len(s.message.annotations) == 0 {
		s.annotate(emit, s.sources)
	}
	s.closeReasoning(emit)
	s.closeMessage(emit, status)
	s.closeCalls(emit, status)
	out := s.r.frame(s.id, s.created, s.model, status)
	out.IncompleteDetails, out.Usage, out.Output = details, s.usage.responses(), append([]any{}, s.items...)
	s.r.remember(s.id, s.turn, s.items)
	s.send(emit, "response."+status, map[string]any{"response": out})
	return nil
}

// fail ends the stream with one response.failed event.
func (s *stream) fail(err error, emit emitter, code, message string) {
	s.begin(&chunk{Model: s.r.req.Model}, emit)
	s.terminated, s.err = true, err
	out := s.r.frame(s.id, s.created, s.model, "failed")
	for _, it := range s.items {
		if it != nil {
			out.Output = append(out.Output, it)
		}
	}
	out.Error = map[string]string{"code": overflowed(code, message), "message": message}
	s.send(emit, "response.failed", map[string]any{"response": out})
}
