package responses

import (
	"encoding/json"
	"fmt"
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
