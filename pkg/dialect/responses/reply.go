package responses

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// reply turns chat's answer into a Responses object.
type reply struct {
	options   Options
	req       *request
	tools     map[string]tool
	history   []json.RawMessage
	store     Store
	encrypted bool // the client asked for reasoning that it can hand back
}

type completion struct {
	ID      string     `json:"id"`
	Created float64    `json:"created"` // some have fractions
	Model   string     `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *chatUsage `json:"usage"`
}

type choice struct {
	Message      said   `json:"message"`
	FinishReason string `json:"finish_reason"`
}

type said struct {
	openai.Said
	Refusal          string            `json:"refusal"`
	ReasoningDetails []json.RawMessage `json:"reasoning_details"`
	ToolCalls        []toolCall        `json:"tool_calls"`
}

func (r *reply) Body(body []byte) ([]byte, error) {
	var c completion
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("read chat completion: %w", err)
	}
	if len(c.Choices) == 0 {
		return nil, fmt.Errorf("read chat completion: no choices")
	}
	created := int64(c.Created)
	if created == 0 {
		created = r.options.Now().Unix()
	}
	status, details := finish(c.Choices[0].FinishReason)
	out := r.frame("resp_"+r.options.NewID(), created, c.Model, status)
	out.IncompleteDetails, out.Usage = details, c.Usage.responses()

	m := c.Choices[0].Message
	turn := assistant{Role: "assistant", ReasoningDetails: m.ReasoningDetails, Refusal: m.Refusal, ToolCalls: m.ToolCalls}
	turn.ReasoningContent, _ = rawjson.Text(m.Thought())
	if turn.ReasoningContent != "" || len(m.ReasoningDetails) > 0 {
		out.Output = append(out.Output, r.reasoning("rs_"+r.options.NewID(), turn.ReasoningContent, m.ReasoningDetails))
	}
	content := []any{}
	if text, ok := rawjson.Text(m.Text()); ok {
		turn.text.WriteString(text)
		content = append(content, newTextPart(text))
	}
	if m.Refusal != "" {
		content = append(content, refusalPart{"refusal", m.Refusal})
	}
	if len(content) > 0 {
		out.Output = append(out.Output, messageItem{"msg_" + r.options.NewID(), "message", status, "assistant", content})
	}
	for _, call := range m.ToolCalls {
		out.Output = append(out.Output, r.call(r.options.NewID(), call.ID, call.Function.Name, call.Function.Arguments, status))
	}
	r.remember(out.ID, turn, out.Output)
	return rawjson.Marshal(out)
}

func (r *reply) reasoning(id, text string, details []json.RawMessage) reasoningItem {
	it := reasoningItem{ID: id, Type: "reasoning", Summary: []summaryPart{}, details: details}
	if text != "" {
		it.Summary = append(it.Summary, summaryPart{"summary_text", text})
	}
	if r.encrypted && len(details) > 0 {
		content := seal(details)
		it.EncryptedContent = &content
	}
	return it
}

// Error passes the body: both dialects wear OpenAI's envelope.
func (r *reply) Error(_ int, _ http.Header, body []byte) []byte { return body }

func (r *reply) Stream() dialect.Stream {
	return &stream{r: r, id: "resp_" + r.options.NewID(), calls: map[int]*openCall{}}
}
