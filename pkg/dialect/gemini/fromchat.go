package gemini

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// chatRequest is the part of a chat request that the translation reads.
type chatRequest struct {
	Messages            []json.RawMessage `json:"messages"`
	Tools               []json.RawMessage `json:"tools"`
	Functions           []json.RawMessage `json:"functions"`
	ToolChoice          json.RawMessage   `json:"tool_choice"`
	FunctionCall        json.RawMessage   `json:"function_call"`
	Temperature         json.RawMessage   `json:"temperature"`
	TopP                json.RawMessage   `json:"top_p"`
	TopK                json.RawMessage   `json:"top_k"`
	MaxTokens           json.RawMessage   `json:"max_tokens"`
	MaxCompletionTokens json.RawMessage   `json:"max_completion_tokens"`
	Stop                json.RawMessage   `json:"stop"`
	N                   json.RawMessage   `json:"n"`
	Seed                json.RawMessage   `json:"seed"`
	PresencePenalty     json.RawMessage   `json:"presence_penalty"`
	FrequencyPenalty    json.RawMessage   `json:"frequency_penalty"`
	Logprobs            bool              `json:"logprobs"`
	TopLogprobs         json.RawMessage   `json:"top_logprobs"`
	ResponseFormat      json.RawMessage   `json:"response_format"`
	Modalities          []string          `json:"modalities"`
	Audio               json.RawMessage   `json:"audio"`
	ReasoningEffort     string            `json:"reasoning_effort"`
	Stream              bool              `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	WebSearch json.RawMessage `json:"web_search_options"`
	ExtraBody json.RawMessage `json:"extra_body"`
}

// read names the members of a chat request that have their place in Gemini's;
// all others are dropped and reported.
var read = []string{
	"model", "messages", "tools", "functions", "tool_choice", "function_call", "temperature", "top_p", "top_k",
	"max_tokens", "max_completion_tokens", "stop", "n", "seed", "presence_penalty", "frequency_penalty",
	"logprobs", "top_logprobs", "response_format", "modalities", "audio", "reasoning_effort", "stream",
	"stream_options", "web_search_options", "extra_body",
}

// generateRequest is a GenerateContentRequest as it is sent.
type generateRequest struct {
	SystemInstruction *content          `json:"systemInstruction,omitempty"`
	Contents          []content         `json:"contents"`
	Tools             []json.RawMessage `json:"tools,omitempty"`
	ToolConfig        json.RawMessage   `json:"toolConfig,omitempty"`
	GenerationConfig  *generationConfig `json:"generationConfig,omitempty"`
}

// FromChat translates chat completions into Gemini's generateContent. The
// call's Path is below a base URL that ends in /v1beta.
func FromChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req chatRequest
		in.Body = in.JSON()
		if err := json.Unmarshal(in.Body, &req); err != nil {
			return nil, dialect.Unreadable("chat completions", err)
		}
		t := &toGemini{options: options, facts: options.Facts(in.Model), req: &req, provider: in.Provider}
		body, err := t.translate(in)
		if err != nil {
			return nil, err
		}
		path, err := modelPath(in.Model)
		if err != nil {
			return nil, err
		}
		verb := ":generateContent"
		if req.Stream {
			verb = ":streamGenerateContent?alt=sse"
		}
		return &dialect.Call{
			Path: path + verb, Body: body, Stream: req.Stream, Ignored: t.ignored,
			Reply: &chatReply{options: options, model: in.Model, usage: req.StreamOptions.IncludeUsage, wav: t.wav},
		}, nil
	}
}

// modelPath is a model's path, so escaped that a name leads nowhere else.
func modelPath(model string) (string, error) {
	if model == "" {
		return "", dialect.Invalid("model", "model is missing")
	}
	segments := []string{"models", model}
	for _, collection := range []string{"models/", "tunedModels/", "publishers/"} {
		if strings.HasPrefix(model, collection) {
			segments = strings.Split(model, "/")
		}
	}
	var b strings.Builder
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", dialect.Invalid("model", fmt.Sprintf("model %q is not a model's name", model))
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String(), nil
}

// toGemini gathers one Gemini request.
type toGemini struct {
	options  Options
	facts    Facts
	req      *chatRequest
	provider string
	ignored  []string
	wav      bool // audio is asked for as WAV: Gemini sends bare samples

	system   []part
	contents []content
	calls    []pending         // the last assistant turn's calls, in order
	names    map[string]string // functions by tool call id
}

func (t *toGemini) ignore(name string) {
	t.ignored = dialect.Ignore(t.ignored, name)
}

func (t *toGemini) translate(in dialect.Request) (json.RawMessage, error) {
	all, _ := rawjson.Members(in.Body)
	for _, m := range all {
		if !slices.Contains(read, m.Name) && rawjson.Set(m.Value) != nil {
			t.ignore(m.Name)
		}
	}
	if len(t.req.Messages) == 0 {
		return nil, dialect.Invalid("messages", "messages must be a list of at least one message")
	}
	if err := t.messages(); err != nil {
		return nil, err
	}
	out := generateRequest{Contents: t.contents}
	if len(t.system) > 0 {
		out.SystemInstruction = &content{Parts: t.system}
	}
	if len(out.Contents) == 0 {
		// Gemini wants contents: instructions alone are then what is asked.
		if out.SystemInstruction == nil {
			return nil, dialect.Invalid("messages", "messages hold no content")
		}
		out.Contents = []content{{Role: "user", Parts: t.system}}
		out.SystemInstruction = nil
	}
	var err error
	if out.Tools, out.ToolConfig, err = t.tools(); err != nil {
		return nil, err
	}
	if out.GenerationConfig, err = t.generation(); err != nil {
		return nil, err
	}
	body, err := rawjson.Marshal(out)
	if err != nil {
		return nil, err
	}
	return t.extra(body)
}

// extra merges extra_body.<provider> into the request. Objects merge, tools are
// added, everything else is replaced. As at Google's own chat endpoint,
// thinking_config and cached_content are known by these names too.
func (t *toGemini) extra(body json.RawMessage) (json.RawMessage, error) {
	all, _ := rawjson.Members(t.req.ExtraBody)
	for _, m := range all {
		if m.Name != t.provider && m.Name != "google" && m.Name != "gemini" {
			continue
		}
		fields, ok := rawjson.Members(m.Value)
		if !ok {
			return nil, dialect.Invalid("extra_body."+m.Name, "extra_body."+m.Name+" must be an object")
		}
		for _, f := range fields {
			switch f.Name {
			case "model":
				return nil, dialect.Invalid("extra_body."+m.Name+".model", "the model is named by model alone")
			case "thinking_config":
				f = rawjson.M("generationConfig", rawjson.Object{rawjson.M("thinkingConfig", camel(f.Value))}.JSON())
			case "cached_content":
				f.Name = "cachedContent"
			}
			body = merge(body, f)
		}
	}
	return body, nil
}

// merge puts one member into an object.
func merge(into json.RawMessage, m rawjson.Member) json.RawMessage {
	list, _ := rawjson.Members(into)
	for i := range list {
		if list[i].Name != m.Name {
			continue
		}
		if inner, ok := rawjson.Members(m.Value); ok && rawjson.IsObject(list[i].Value) {
			for _, deeper := range inner {
				list[i].Value = merge(list[i].Value, deeper)
			}
			return list.JSON()
		}
		if more, ok := rawjson.Elements(m.Value); ok && m.Name == "tools" {
			if have, ok := rawjson.Elements(list[i].Value); ok {
				list[i].Value = rawjson.Array(append(have, more...))
				return list.JSON()
			}
		}
		list[i].Value = m.Value
		return list.JSON()
	}
	return rawjson.Object(append(list, m)).JSON()
}
