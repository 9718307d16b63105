package gemini

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// nativeReply turns chat completions into Gemini's answers.
type nativeReply struct {
	options  Options
	model    string
	thoughts bool // the caller asked for thoughts
}

// chatCompletion is an answer of the middle, whole or a chunk.
type chatCompletion struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Choices []middleChoice  `json:"choices"`
	Usage   *usage          `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type middleChoice struct {
	Index        int           `json:"index"`
	Message      middleMessage `json:"message"`
	Delta        middleMessage `json:"delta"`
	FinishReason string        `json:"finish_reason"`
	Native       string        `json:"native_finish_reason"`
}

type middleMessage struct {
	openai.Said
	Refusal   string            `json:"refusal"`
	Details   []json.RawMessage `json:"reasoning_details"`
	ToolCalls []struct {
		Index *int `json:"index"`
		toolCall
	} `json:"tool_calls"`
	Images []struct {
		ImageURL urlPart `json:"image_url"`
	} `json:"images"`
	Audio struct {
		Data string `json:"data"`
	} `json:"audio"`
	Extra extraContent `json:"extra_content"`
}

type nativeAnswer struct {
	Candidates    []nativeCandidate `json:"candidates,omitempty"`
	UsageMetadata *usageMetadata    `json:"usageMetadata,omitempty"`
	ModelVersion  string            `json:"modelVersion"`
	ResponseID    string            `json:"responseId,omitempty"`
}

type nativeCandidate struct {
	Content       content `json:"content"`
	FinishReason  string  `json:"finishReason,omitempty"`
	FinishMessage string  `json:"finishMessage,omitempty"`
	Index         int     `json:"index"`
}

func (r *nativeReply) Stream() dialect.Stream {
	return &nativeStream{reply: r, choices: map[int]*gathered{}}
}

func (r *nativeReply) Error(status int, header http.Header, body []byte) []byte {
	return nativeError(readError(status, header, body))
}

func (r *nativeReply) Body(body []byte) ([]byte, error) {
	var c chatCompletion
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's answer is not a chat completion", Err: err}
	}
	if len(c.Choices) == 0 {
		return nil, fault.New(fault.Upstream, "the provider's answer has no choices")
	}
	out := nativeAnswer{ModelVersion: c.Model, ResponseID: c.ID}
	if out.ModelVersion == "" {
		out.ModelVersion = r.model
	}
	if c.Usage != nil {
		out.UsageMetadata = c.Usage.native()
	}
	for i := range c.Choices {
		m := &c.Choices[i].Message
		g := &gathered{native: c.Choices[i].Native, reason: c.Choices[i].FinishReason}
		parts := g.take(m, r.thoughts)
		out.Candidates = append(out.Candidates, g.candidate(c.Choices[i].Index, parts))
	}
	return rawjson.Marshal(out)
}

// gathered is what a choice has told and not passed on yet.
type gathered struct {
	numbering openai.Numbering
	calls     []gatheredCall
	details   []json.RawMessage
	reason    string
	native    string
}

type gatheredCall struct {
	id, name, signature string
	arguments           []byte
}

// take passes on what can be, and keeps calls until they are whole.
func (g *gathered) take(m *middleMessage, thoughts bool) []part {
	var parts []part
	g.details = append(g.details, m.Details...)
	if raw := m.Thought(); thoughts && raw != nil {
		parts = append(parts, part{Text: &raw, Thought: true})
	}
	if raw := m.Text(); raw != nil {
		parts = append(parts, part{Text: &raw, ThoughtSignature: m.Extra.Google.ThoughtSignature})
	}
	if m.Refusal != "" {
		parts = append(parts, textPart(m.Refusal))
	}
	for _, image := range m.Images {
		if p, err := inline(image.ImageURL.URL, ""); err == nil && strings.HasPrefix(image.ImageURL.URL, "data:") {
			parts = append(parts, *p)
		}
	}
	if m.Audio.Data != "" {
		parts = append(parts, part{InlineData: &blob{MimeType: "audio/L16;codec=pcm;rate=24000", Data: m.Audio.Data}})
	}
	for i := range m.ToolCalls {
		in := &m.ToolCalls[i]
		k := g.numbering.Place(in.Index, in.ID, in.Function.Name)
		if k == len(g.calls) {
			g.calls = append(g.calls, gatheredCall{})
		}
		call := &g.calls[k]
		if in.ID != "" {
			call.id = in.ID
		}
		if call.name == "" {
			call.name = in.Function.Name
		}
		call.arguments = append(call.arguments, in.Function.Arguments...)
		if signature := in.Extra.Google.ThoughtSignature; signature != "" {
			call.signature = signature
		}
	}
	return parts
}

// candidate is the end of a choice, with the calls that were kept.
func (g *gathered) candidate(index int, parts []part) nativeCandidate {
	out := nativeCandidate{Index: index, FinishReason: nativeFinish(g.reason, g.native)}
	for i, call := range g.calls {
		args := json.RawMessage(call.arguments)
		if len(bytes.TrimSpace(args)) == 0 {
			args = json.RawMessage("{}")
		}
		if !rawjson.IsObject(args) || !json.Valid(args) || call.name == "" {
			out.FinishReason = "MALFORMED_FUNCTION_CALL"
			out.FinishMessage = "The model called a function with arguments that are no JSON object"
			continue
		}
		p := part{FunctionCall: &functionCall{ID: call.id, Name: call.name, Args: args}, ThoughtSignature: call.signature}
		if i == 0 && p.ThoughtSignature == "" && len(g.details) > 0 {
			p.ThoughtSignature = seal(joined(g.details))
		}
		parts = append(parts, p)
	}
	if parts == nil {
		parts = []part{}
	}
	out.Content = content{Role: "model", Parts: parts}
	return out
}

// joined puts the pieces of a thought that came one by one together again: a
// detail with a signature ends one.
func joined(details []json.RawMessage) []json.RawMessage {
	type thinking struct {
		Type      string `json:"type"`
		Text      string `json:"text"`
		Signature string `json:"signature,omitempty"`
	}
	var out []json.RawMessage
	var open *thinking
	for _, raw := range details {
		var d thinking
		if json.Unmarshal(raw, &d) != nil || d.Type != "thinking" {
			out = append(out, raw)
			continue
		}
		if open == nil {
			open = &thinking{Type: "thinking"}
		}
		open.Text += d.Text
		if open.Signature = d.Signature; d.Signature != "" {
			out = append(out, rawjson.Must(open))
			open = nil
		}
	}
	if open != nil {
		out = append(out, rawjson.Must(open))
	}
	return out
}

// natives are Google's own words that are kept where a provider says them.
var natives = []string{
	"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL",
	"TOO_MANY_TOOL_CALLS", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE", "OTHER",
}

// nativeFinish maps a finish reason; Google's own word wins where it is one.
func nativeFinish(reason, native string) string {
	if slices.Contains(natives, native) {
		return native
	}
	switch reason {
	case "length":
		return "MAX_TOKENS"
	case "content_filter":
		return "SAFETY"
	case "stop", "tool_calls", "function_call", "":
		return "STOP"
	}
	return "OTHER"
}
