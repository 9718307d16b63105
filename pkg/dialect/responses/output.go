package responses

import (
	"encoding/base64"
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// response is the Response object. Fields that echo the request are raw.
type response struct {
	ID                 string          `json:"id"`
	Object             string          `json:"object"`
	CreatedAt          int64           `json:"created_at"`
	Status             string          `json:"status"`
	Background         bool            `json:"background"`
	Error              any             `json:"error"`
	IncompleteDetails  any             `json:"incomplete_details"`
	Instructions       json.RawMessage `json:"instructions"`
	MaxOutputTokens    json.RawMessage `json:"max_output_tokens"`
	Model              string          `json:"model"`
	Output             []any           `json:"output"`
	ParallelToolCalls  json.RawMessage `json:"parallel_tool_calls"`
	PreviousResponseID any             `json:"previous_response_id"`
	Reasoning          json.RawMessage `json:"reasoning"`
	Store              bool            `json:"store"`
	Temperature        json.RawMessage `json:"temperature"`
	Text               json.RawMessage `json:"text"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	Tools              json.RawMessage `json:"tools"`
	TopP               json.RawMessage `json:"top_p"`
	Truncation         json.RawMessage `json:"truncation"`
	Usage              any             `json:"usage"`
	User               json.RawMessage `json:"user"`
	Metadata           json.RawMessage `json:"metadata"`
}

type messageItem struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Status  string `json:"status"`
	Role    string `json:"role"`
	Content []any  `json:"content"`
}

type textPart struct {
	Type        string            `json:"type"`
	Text        string            `json:"text"`
	Annotations []any             `json:"annotations"`
	Logprobs    []json.RawMessage `json:"logprobs"`
}

func newTextPart(text string, annotations ...any) textPart {
	if annotations == nil {
		annotations = []any{}
	}
	return textPart{Type: "output_text", Text: text, Annotations: annotations, Logprobs: []json.RawMessage{}}
}

type refusalPart struct {
	Type    string `json:"type"`
	Refusal string `json:"refusal"`
}

type callItem struct {
	ID        string  `json:"id"`
	Type      string  `json:"type"`
	Status    string  `json:"status"`
	CallID    string  `json:"call_id"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name"`
	Arguments *string `json:"arguments,omitempty"` // of a function
	Input     *string `json:"input,omitempty"`     // of a custom tool
}

type reasoningItem struct {
	ID               string        `json:"id"`
	Type             string        `json:"type"`
	Summary          []summaryPart `json:"summary"`
	EncryptedContent *string       `json:"encrypted_content,omitempty"`

	details []json.RawMessage // content of encrypted_content, if the client asked for it
}

type summaryPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type usage struct {
	InputTokens        int64         `json:"input_tokens"`
	InputTokensDetails inputDetails  `json:"input_tokens_details"`
	OutputTokens       int64         `json:"output_tokens"`
	OutputDetails      outputDetails `json:"output_tokens_details"`
	TotalTokens        int64         `json:"total_tokens"`
}

type inputDetails struct {
	CachedTokens int64 `json:"cached_tokens"`
}

type outputDetails struct {
	ReasoningTokens int64 `json:"reasoning_tokens"`
}

// chatUsage is the usage of the intermediate form.
type chatUsage struct {
	Prompt        int64 `json:"prompt_tokens"`
	Completion    int64 `json:"completion_tokens"`
	Total         int64 `json:"total_tokens"`
	PromptDetails struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

func (u *chatUsage) responses() any {
	if u == nil {
		return nil
	}
	total := u.Total
	if total == 0 {
		total = u.Prompt + u.Completion
	}
	return usage{u.Prompt, inputDetails{u.PromptDetails.Cached}, u.Completion, outputDetails{u.CompletionDetails.Reasoning}, total}
}

// call returns the client's item for a finished tool call.
func (r *reply) call(id, callID, name, arguments, status string) callItem {
	kind, known := r.tools[name]
	it := callItem{ID: "fc_" + id, Type: "function_call", Status: status, CallID: callID, Name: name, Arguments: &arguments}
	if known {
		it.Name, it.Namespace = kind.name, kind.namespace
	}
	if kind.custom {
		input := openai.CustomInput(arguments)
		it.ID, it.Type, it.Arguments, it.Input = "ctc_"+id, "custom_tool_call", nil, &input
	}
	return it
}

// callItem returns the client's item for a call, which may be one that the client
// runs itself.
func (r *reply) callItem(id, callID, name, arguments, status string) any {
	if kind := r.tools[name].local; kind != "" {
		return newLocalItem(kind, id, callID, arguments, status)
	}
	return r.call(id, callID, name, arguments, status)
}

// seal encodes reasoning_details so that a client can send them back.
func seal(details []json.RawMessage) string {
	return sealedPrefix + base64.StdEncoding.EncodeToString(rawjson.Must(details))
}

// finish translates a finish reason to status and incomplete_details.
func finish(reason string) (status string, details any) {
	switch reason {
	case "length":
		return "incomplete", map[string]string{"reason": "max_output_tokens"}
	case "content_filter":
		return "incomplete", map[string]string{"reason": "content_filter"}
	}
	return "completed", nil
}

// frame returns the Response object with the echoed request and no output.
func (r *reply) frame(id string, created int64, model, status string) response {
	req := r.req
	if model == "" {
		model = req.Model
	}
	or := func(v jsonscan.Value, fallback string) json.RawMessage {
		if v.Set() {
			return v.JSON()
		}
		return json.RawMessage(fallback)
	}
	f := response{
		ID: id, Object: "response", CreatedAt: created, Status: status, Model: model, Output: []any{},
		Instructions: or(req.Instructions, "null"), MaxOutputTokens: or(req.MaxOutputTokens, "null"),
		ParallelToolCalls: or(req.ParallelToolCalls, "true"), Reasoning: or(req.Reasoning, `{"effort":null,"summary":null}`),
		Store: req.Store == nil || *req.Store, Temperature: or(req.Temperature, "1"), Text: or(req.Text, `{"format":{"type":"text"}}`),
		ToolChoice: or(req.ToolChoice, `"auto"`), Tools: or(req.Tools, "[]"), TopP: or(req.TopP, "1"),
		Truncation: or(req.Truncation, `"disabled"`), User: or(req.User, "null"), Metadata: or(req.Metadata, "{}"),
	}
	if r.store == nil {
		f.Store = false // nothing is stored, whatever the request says
	}
	if req.PreviousResponseID != "" {
		f.PreviousResponseID = req.PreviousResponseID
	}
	return f
}

// remember stores the conversation so far under the response's id, and the items of
// the response under their ids.
func (r *reply) remember(id string, turn assistantTurn, items []any) {
	if r.store == nil {
		return
	}
	for _, it := range items {
		r.rememberItem(it)
	}
	messages := make([]json.RawMessage, 0, len(r.history)+1)
	for _, m := range r.history {
		messages = append(messages, m.JSON())
	}
	if m := turn.message(); !m.Absent() {
		messages = append(messages, m.JSON())
	}
	r.store.Put(id, messages)
}

// rememberItem stores a complete item, so that a reference to it includes its
// thinking even if the client did not get that.
func (r *reply) rememberItem(it any) {
	var id string
	switch v := it.(type) {
	case messageItem:
		id = v.ID
	case callItem:
		id = v.ID
	case localItem:
		id = v.ID
	case searchItem:
		id = v.ID
	case pictureItem:
		id = v.ID
	case reasoningItem:
		id = v.ID
		if len(v.details) > 0 {
			content := seal(v.details)
			v.EncryptedContent = &content
			it = v
		}
	default:
		return
	}
	r.store.PutItem(id, rawjson.Must(it))
}
