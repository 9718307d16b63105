package responses

import (
	"encoding/json"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// openReasoning is a reasoning item that is not done yet.
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
