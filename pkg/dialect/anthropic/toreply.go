package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// messageReply translates a chat response into a message.
type messageReply struct {
	options Options
	model   string
	long    map[string]string // original names of tools by their short names
	stops   []string          // the client's stop sequences

	estimate func() int // estimates the input tokens

	searching bool // the client asked for a search of the web
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
	if err := jsonscan.Decode(body, &c); err != nil {
		return nil, fmt.Errorf("read chat completion: %w", err)
	}
	if len(c.Choices) == 0 {
		return nil, fmt.Errorf("read chat completion: no choices")
	}
	m := &c.Choices[0].Message
	var content []jsonscan.Value
	answer, thought := jsonscan.String(m.Text()), jsonscan.String(m.Thought())
	whole := false // the details contain all of the thinking
	for _, raw := range m.ReasoningDetails {
		block, isThinking := detailBlock(raw, thought)
		whole = whole || isThinking
		content = append(content, block)
	}
	if thought != nil && !whole {
		content = append([]jsonscan.Value{thinkingBlock(jsonscan.Str(thought), text(unsigned))}, content...)
	}
	cited := dialect.ReadCitations(m.Annotations)
	if len(cited) == 0 {
		cited = dialect.ReadCitations(c.Found())
	}
	searches := r.searches(m.Searches, cited)
	for i := range searches {
		use, result := r.searchBlocks(&searches[i])
		content = append(content, use, result)
	}
	if answer != nil {
		content = append(content, citedBlocks(answer, cited)...)
	}
	if !m.Refusal.Empty() && !bytes.Equal(m.Refusal, answer) {
		content = append(content, textBlock(jsonscan.Str(m.Refusal)))
	}
	for i := range m.Images {
		content = append(content, textBlock(text(m.Images[i].InWords())))
	}
	calls := m.calls()
	for i := range calls {
		input, _ := inputOf(calls[i].Function.Arguments)
		content = append(content, toolBlock(callID(&calls[i], r.options.NewID), r.toolName(calls[i].Function.Name), input))
	}
	finish := ""
	if c.Choices[0].Finish != nil {
		finish = *c.Choices[0].Finish
	}
	list := jsonscan.Arr(content)
	out := r.appendHead(make([]byte, 0, list.Size()+1024), "msg_"+r.options.NewID(), c.Model)
	out = append(list.Append(out), `,"stop_reason":`...)
	stop, sequence := r.ended(finish, c.Choices[0].Native, c.Choices[0].Stop, c.Choices[0].Reason, len(calls) > 0, !m.Refusal.Empty())
	out = append(jsonscan.AppendQuote(out, stop), `,"stop_sequence":`...)
	out = append(sequence.Append(out), `,"usage":`...)
	return append(c.Usage.appendMessages(out, len(searches)), '}'), nil
}

// appendHead appends the beginning of a message, up to its content.
func (r *messageReply) appendHead(b []byte, id, model string) []byte {
	if model == "" {
		model = r.model
	}
	b = jsonscan.AppendQuote(append(b, `{"id":`...), id)
	b = jsonscan.AppendQuote(append(b, `,"type":"message","role":"assistant","model":`...), model)
	return append(b, `,"content":`...)
}

func thinkingBlock(thinking, signature jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Lit(`"thinking"`)), member("thinking", thinking), member("signature", signature))
}

func redactedBlock(data jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Lit(`"redacted_thinking"`)), member("data", data))
}

func toolBlock(id, name string, input jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Lit(`"tool_use"`)), member("id", text(id)), member("name", text(name)), member("input", input))
}

// detailBlock returns the block for one entry of reasoning_details. A signature
// without its text signs the thinking that came next to it.
func detailBlock(raw json.RawMessage, thought jsonscan.String) (block jsonscan.Value, thinking bool) {
	var d detail
	if jsonscan.Decode(raw, &d) == nil {
		switch {
		case d.Type == "thinking", d.Type == "reasoning.text":
			if d.Text == nil {
				d.Text = thought
			}
			if d.Signature.Empty() {
				d.Signature = jsonscan.Quote(unsigned)
			}
			return thinkingBlock(orEmpty(d.Text), jsonscan.Str(d.Signature)), true
		case d.Type == "redacted" && !d.Data.Empty():
			return redactedBlock(jsonscan.Str(d.Data)), false
		}
	}
	return redactedBlock(text(sealedDetail(raw))), false
}

// Error translates OpenAI's error into Anthropic's envelope.
func (r *messageReply) Error(status int, header http.Header, body []byte) []byte {
	return messagesError(status, header, body)
}

// Stream starts the translation of chat chunks into Messages events.
func (r *messageReply) Stream() dialect.Stream { return &messageStream{r: r, index: -1} }
