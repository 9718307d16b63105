package anthropic

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// messageReply turns a chat answer into a message.
type messageReply struct {
	options Options
	model   string
	long    map[string]string // tools' names by their short ones
}

func (r *messageReply) toolName(name string) string {
	if long, ok := r.long[name]; ok {
		return long
	}
	return name
}

// Body translates one completion.
func (r *messageReply) Body(body []byte) ([]byte, error) {
	var c chunk
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("read chat completion: %w", err)
	}
	if len(c.Choices) == 0 {
		return nil, fmt.Errorf("read chat completion: no choices")
	}
	m := &c.Choices[0].Message
	var content []json.RawMessage
	text, thought := m.text()
	whole := false // the details tell all of the thinking
	for _, raw := range m.ReasoningDetails {
		block, isThinking := detailBlock(raw, thought)
		whole = whole || isThinking
		content = append(content, block)
	}
	if thought != "" && !whole {
		content = append([]json.RawMessage{thinkingBlock(thought, "")}, content...)
	}
	if text != "" {
		content = append(content, textBlock(text))
	}
	if m.Refusal != "" && m.Refusal != text {
		content = append(content, textBlock(m.Refusal))
	}
	calls := m.calls()
	for i := range calls {
		content = append(content, toolBlock(callID(&calls[i], r.options.NewID), r.toolName(calls[i].Function.Name), inputOf(calls[i].Function.Arguments)))
	}
	finish := ""
	if c.Choices[0].Finish != nil {
		finish = *c.Choices[0].Finish
	}
	out := r.head("msg_"+r.options.NewID(), c.Model)
	out = append(append(out, rawjson.Array(content)...), `,"stop_reason":`...)
	out = rawjson.AppendString(out, stopOf(finish, c.Choices[0].Native, len(calls) > 0, m.Refusal != ""))
	out = append(out, `,"stop_sequence":null,"usage":`...)
	return append(c.Usage.appendMessages(out), '}'), nil
}

// head begins a message, up to its content.
func (r *messageReply) head(id, model string) []byte {
	if model == "" {
		model = r.model
	}
	b := rawjson.AppendString([]byte(`{"id":`), id)
	b = rawjson.AppendString(append(b, `,"type":"message","role":"assistant","model":`...), model)
	return append(b, `,"content":`...)
}

func thinkingBlock(text, signature string) json.RawMessage {
	b := rawjson.AppendString([]byte(`{"type":"thinking","thinking":`), text)
	return append(rawjson.AppendString(append(b, `,"signature":`...), signature), '}')
}

func redactedBlock(data string) json.RawMessage {
	return append(rawjson.AppendString([]byte(`{"type":"redacted_thinking","data":`), data), '}')
}

func toolBlock(id, name string, input json.RawMessage) json.RawMessage {
	b := rawjson.AppendString([]byte(`{"type":"tool_use","id":`), id)
	b = rawjson.AppendString(append(b, `,"name":`...), name)
	return append(append(append(b, `,"input":`...), input...), '}')
}

// detailBlock makes the block of one entry of reasoning_details. A signature
// without its text signs the thinking that came beside it.
func detailBlock(raw json.RawMessage, thought string) (block json.RawMessage, thinking bool) {
	var d detail
	if json.Unmarshal(raw, &d) != nil {
		return redactedBlock(sealedDetail(raw)), false
	}
	switch {
	case d.Type == "thinking", d.Type == "reasoning.text":
		if d.Text == nil {
			d.Text = &thought
		}
		return thinkingBlock(*d.Text, d.Signature), true
	case d.Type == "redacted" && d.Data != "":
		return redactedBlock(d.Data), false
	}
	return redactedBlock(sealedDetail(raw)), false
}

// Error words OpenAI's error in Anthropic's envelope.
func (r *messageReply) Error(status int, header http.Header, body []byte) []byte {
	return messagesError(status, header, body)
}

// Stream begins the translation of chat chunks into Messages events.
func (r *messageReply) Stream() dialect.Stream { return &messageStream{r: r, index: -1} }
