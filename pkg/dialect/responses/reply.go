package responses

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
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
	Created int64      `json:"created"`
	Model   string     `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *chatUsage `json:"usage"`
}

type choice struct {
	Message      said   `json:"message"`
	FinishReason string `json:"finish_reason"`
}

type said struct {
	Content          *string           `json:"content"`
	Refusal          string            `json:"refusal"`
	ReasoningContent string            `json:"reasoning_content"`
	Reasoning        string            `json:"reasoning"` // OpenRouter's, Groq's and vLLM's word for it
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
	if c.Created == 0 {
		c.Created = r.options.Now().Unix()
	}
	status, details := finish(c.Choices[0].FinishReason)
	out := r.frame("resp_"+r.options.NewID(), c.Created, c.Model, status)
	out.IncompleteDetails, out.Usage = details, c.Usage.responses()

	m := c.Choices[0].Message
	turn := assistant{Role: "assistant", ReasoningDetails: m.ReasoningDetails, Refusal: m.Refusal, ToolCalls: m.ToolCalls}
	turn.ReasoningContent = m.ReasoningContent + m.Reasoning
	if turn.ReasoningContent != "" || len(m.ReasoningDetails) > 0 {
		out.Output = append(out.Output, r.reasoning("rs_"+r.options.NewID(), turn.ReasoningContent, m.ReasoningDetails))
	}
	content := []any{}
	if m.Content != nil && *m.Content != "" {
		turn.text.WriteString(*m.Content)
		content = append(content, newTextPart(*m.Content))
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
	r.remember(out.ID, turn)
	return rawjson.Marshal(out)
}

func (r *reply) reasoning(id, text string, details []json.RawMessage) reasoningItem {
	it := reasoningItem{ID: id, Type: "reasoning", Summary: []summaryPart{}}
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
