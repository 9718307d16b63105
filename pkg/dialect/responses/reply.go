package responses

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// reply translates a chat completion into a Response object.
type reply struct {
	options   Options
	req       *request
	tools     map[string]tool
	history   []jsonscan.Value
	store     Store
	encrypted bool // the client asked for reasoning that it can send back
	sources   bool // the client asked for the sources of searches
}

type completion struct {
	ID      string     `json:"id"`
	Created float64    `json:"created"` // some providers send fractions
	Model   string     `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *chatUsage `json:"usage"`
	dialect.Sourced
}

type choice struct {
	Message      answer `json:"message"`
	FinishReason string `json:"finish_reason"`
}

type answer struct {
	openai.MessageText
	dialect.Searched
	dialect.Pictured
	Refusal          jsonscan.String   `json:"refusal"`
	ReasoningDetails []json.RawMessage `json:"reasoning_details"`
	ToolCalls        []toolCall        `json:"tool_calls"`
}

func (r *reply) Body(body []byte) ([]byte, error) {
	var c completion
	if err := jsonscan.Decode(body, &c); err != nil {
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
	if len(m.Annotations) == 0 {
		m.Annotations = c.Found()
	}
	text, thought := jsonscan.String(m.Text()), jsonscan.String(m.Thought())
	turn := assistantTurn{text: []jsonscan.String{text}, refusal: []jsonscan.String{m.Refusal}, reasoning: []jsonscan.String{thought}, details: m.ReasoningDetails, calls: m.ToolCalls}
	out.Output = append(out.Output, r.output(&m, status)...)
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

// Error returns the error in OpenAI's envelope.
func (r *reply) Error(status int, _ http.Header, body []byte) []byte { return errorBody(status, body) }

func (r *reply) Stream() dialect.Stream {
	return &stream{r: r, id: "resp_" + r.options.NewID(), calls: map[int]*openCall{}}
}
