package gemini

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// nativeReply translates chat completions into Gemini's responses.
type nativeReply struct {
	options  Options
	model    string
	thoughts bool // the client asked for thoughts
	searches bool // the client asked for a search of the web
	enum     bool // the response's text is an object with one word
}

// chatCompletion is a chat completion, or a chunk of one.
type chatCompletion struct {
	ID      string             `json:"id"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   *usage             `json:"usage"`
	Error   json.RawMessage    `json:"error"`
	dialect.Sourced
}

type completionChoice struct {
	Index        int         `json:"index"`
	Message      chatMessage `json:"message"`
	Delta        chatMessage `json:"delta"`
	FinishReason string      `json:"finish_reason"`
	Native       string      `json:"native_finish_reason"`
}

type chatMessage struct {
	openai.MessageText
	dialect.Searched
	Refusal   jsonscan.String   `json:"refusal"`
	Details   []json.RawMessage `json:"reasoning_details"`
	ToolCalls []struct {
		Index *int `json:"index"`
		toolCall
	} `json:"tool_calls"`
	Images []struct {
		ImageURL jsonscan.Value `json:"image_url"`
	} `json:"images"`
	Audio struct {
		Data jsonscan.String `json:"data"`
	} `json:"audio"`
	Extra extraContent `json:"extra_content"`
}

// nativeAnswer is a GenerateContentResponse to be written.
type nativeAnswer struct {
	Candidates    []nativeCandidate
	UsageMetadata *usageMetadata
	ModelVersion  string
	ResponseID    string
}

type nativeCandidate struct {
	Parts         []part
	FinishReason  string
	FinishMessage string
	Index         int
	web           *nativeGrounding // nil before the end of a stream
}

func (a *nativeAnswer) append(b []byte) []byte {
	from := len(b)
	b = append(b, '{')
	for i := range a.Candidates {
		if i == 0 {
			b = append(b, `"candidates":[`...)
		} else {
			b = append(b, ',')
		}
		c := &a.Candidates[i]
		b = append(appendParts(append(b, `{"content":{"role":"model","parts":`...), c.Parts), '}')
		if c.FinishReason != "" {
			b = jsonscan.AppendQuote(append(b, `,"finishReason":`...), c.FinishReason)
		}
		if c.FinishMessage != "" {
			b = jsonscan.AppendQuote(append(b, `,"finishMessage":`...), c.FinishMessage)
		}
		if c.web != nil {
			b = c.web.append(b)
		}
		b = append(strconv.AppendInt(append(b, `,"index":`...), int64(c.Index), 10), '}')
	}
	if len(a.Candidates) > 0 {
		b = append(b, ']')
	}
	if a.UsageMetadata != nil {
		b = append(appendName(b, from, "usageMetadata"), rawjson.Must(a.UsageMetadata)...)
	}
	b = jsonscan.AppendQuote(appendName(b, from, "modelVersion"), a.ModelVersion)
	if a.ResponseID != "" {
		b = jsonscan.AppendQuote(append(b, `,"responseId":`...), a.ResponseID)
	}
	return append(b, '}')
}

func (r *nativeReply) Stream() dialect.Stream {
	return &nativeStream{reply: r, choices: map[int]*pendingChoice{}}
}

func (r *nativeReply) Error(status int, header http.Header, body []byte) []byte {
	return nativeError(readError(status, header, body))
}

func (r *nativeReply) Body(body []byte) ([]byte, error) {
	var c chatCompletion
	if err := jsonscan.Decode(body, &c); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's response is not a chat completion", Err: err}
	}
	if len(c.Choices) == 0 {
		return nil, fault.New(fault.Upstream, "the provider's response has no choices")
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
		g := &pendingChoice{native: c.Choices[i].Native, reason: c.Choices[i].FinishReason, web: nativeGrounding{keep: r.searches}, enum: r.enum}
		parts := g.take(m, r.thoughts)
		g.web.beside(c.Found())
		out.Candidates = append(out.Candidates, g.candidate(c.Choices[i].Index, parts))
	}
	return out.append(make([]byte, 0, len(body)+len(body)/8+256)), nil
}

// pendingChoice is the part of a choice that has arrived and was not passed on yet.
type pendingChoice struct {
	numbering openai.Numbering
	calls     []partialCall
	details   []json.RawMessage
	reason    string
	native    string
	web       nativeGrounding
	enum      bool
	object    []byte // containing the word, so far
}

type partialCall struct {
	id, name, signature string
	arguments           []byte // joined JSON strings without their quotes
}

// take returns the parts that can be passed on, and keeps calls until they are
// complete.
func (g *pendingChoice) take(m *chatMessage, thoughts bool) []part {
	var parts []part
	for _, d := range m.Details {
		g.details = append(g.details, bytes.Clone(d)) // the event's memory is reused
	}
	if raw := m.Thought(); thoughts && raw != nil {
		parts = append(parts, part{Text: jsonscan.String(raw), Thought: true})
	}
	g.web.take(m, jsonscan.String(m.Text()))
	if raw := m.Text(); raw != nil && g.enum {
		g.object = jsonscan.AppendUnquoted(g.object, jsonscan.String(raw))
	} else if raw != nil {
		parts = append(parts, part{Text: jsonscan.String(raw), ThoughtSignature: m.Extra.Google.ThoughtSignature})
	}
	if !m.Refusal.Empty() {
		parts = append(parts, part{Text: m.Refusal})
	}
	for _, image := range m.Images {
		if uri := urlOf(image.ImageURL); isDataURL(uri) {
			if p, err := inline(uri, ""); err == nil {
				parts = append(parts, *p)
			}
		}
	}
	if !m.Audio.Data.Empty() {
		parts = append(parts, part{InlineData: &blob{MimeType: "audio/L16;codec=pcm;rate=24000", Data: m.Audio.Data}})
	}
	for i := range m.ToolCalls {
		in := &m.ToolCalls[i]
		k := g.numbering.Place(in.Index, in.ID, in.Function.Name)
		if k == len(g.calls) {
			g.calls = append(g.calls, partialCall{})
		}
		call := &g.calls[k]
		if in.ID != "" {
			call.id = in.ID
		}
		if call.name == "" {
			call.name = in.Function.Name
		}
		if !in.Function.Arguments.Empty() {
			call.arguments = append(call.arguments, in.Function.Arguments[1:len(in.Function.Arguments)-1]...)
		}
		if signature := in.Extra.Google.ThoughtSignature; signature != "" {
			call.signature = signature
		}
	}
	return parts
}

// candidate returns the end of a choice, with the calls that were kept.
func (g *pendingChoice) candidate(index int, parts []part) nativeCandidate {
	out := nativeCandidate{Index: index, FinishReason: nativeFinish(g.reason, g.native), web: &g.web}
	if g.enum {
		parts = append(parts, part{Text: wordOf(g.object)})
	}
	for i, call := range g.calls {
		args, ok := argumentsOf(quoted(call.arguments))
		if !ok || call.name == "" {
			out.FinishReason = "MALFORMED_FUNCTION_CALL"
			out.FinishMessage = "The model called a function with arguments that are not a JSON object"
			continue
		}
		p := part{FunctionCall: &functionCall{ID: call.id, Name: call.name, Args: args}, ThoughtSignature: call.signature}
		if i == 0 && p.ThoughtSignature == "" && len(g.details) > 0 {
			p.ThoughtSignature = seal(joined(g.details))
		}
		parts = append(parts, p)
	}
	out.Parts = parts
	return out
}

// wordOf returns the word within object, or all of the text if the model returned
// something else.
func wordOf(object []byte) jsonscan.String {
	var o map[string]json.RawMessage
	if json.Unmarshal(object, &o) == nil && rawjson.IsString(o[enumMember]) {
		return jsonscan.String(o[enumMember])
	}
	return jsonscan.Quote(string(object))
}

// joined joins the pieces of thoughts that arrived one by one. A detail with a
// signature ends a thought.
func joined(details []json.RawMessage) []json.RawMessage {
	type thinking struct {
		Type      string `json:"type"`
		Text      string `json:"text"`
		Signature string `json:"signature,omitempty"`
		After     []int  `json:"after,omitempty"`
	}
	var out []json.RawMessage
	var open *thinking
	for _, raw := range details {
		var d thinking
		if jsonscan.Decode(raw, &d) != nil || d.Type != "thinking" {
			out = append(out, raw)
			continue
		}
		if open == nil {
			open = &thinking{Type: "thinking"}
		}
		open.Text += d.Text
		open.After = append(open.After, d.After...)
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

// natives are Google's finish reasons that are kept if a provider reports them.
var natives = []string{
	"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL",
	"TOO_MANY_TOOL_CALLS", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE", "OTHER",
}

// nativeFinish maps a finish reason. Google's own takes precedence.
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
