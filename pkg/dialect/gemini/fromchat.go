package gemini

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// chatRequest is the part of a chat request that the translation reads.
type chatRequest struct {
	Messages            []jsonscan.Value `json:"messages"`
	Tools               []jsonscan.Value `json:"tools"`
	Functions           []jsonscan.Value `json:"functions"`
	ToolChoice          json.RawMessage  `json:"tool_choice"`
	FunctionCall        json.RawMessage  `json:"function_call"`
	Temperature         json.RawMessage  `json:"temperature"`
	TopP                json.RawMessage  `json:"top_p"`
	TopK                json.RawMessage  `json:"top_k"`
	MaxTokens           json.RawMessage  `json:"max_tokens"`
	MaxCompletionTokens json.RawMessage  `json:"max_completion_tokens"`
	Stop                json.RawMessage  `json:"stop"`
	N                   json.RawMessage  `json:"n"`
	Seed                json.RawMessage  `json:"seed"`
	PresencePenalty     json.RawMessage  `json:"presence_penalty"`
	FrequencyPenalty    json.RawMessage  `json:"frequency_penalty"`
	Logprobs            bool             `json:"logprobs"`
	TopLogprobs         json.RawMessage  `json:"top_logprobs"`
	ResponseFormat      json.RawMessage  `json:"response_format"`
	Modalities          []string         `json:"modalities"`
	Audio               json.RawMessage  `json:"audio"`
	ReasoningEffort     string           `json:"reasoning_effort"`
	Stream              bool             `json:"stream"`
	StreamOptions       struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	WebSearch jsonscan.Value  `json:"web_search_options"`
	ExtraBody json.RawMessage `json:"extra_body"`
	Rest      jsonscan.Rest   `json:"-"`
}

// FromChat translates chat completions into Gemini's generateContent. Call.Path is
// relative to a base URL that ends in /v1beta.
func FromChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		t := &toGemini{options: options, facts: options.Facts(in.Model), provider: in.Provider}
		chat := in.Value()
		if err := chat.Decode(&t.req); err != nil {
			return nil, dialect.Unreadable("chat completions", err)
		}
		for _, f := range t.req.Rest {
			if f.Name != "model" && f.Value.Set() {
				t.ignore(f.Name)
			}
		}
		body, err := t.translate(chat.Size())
		if err != nil {
			return nil, err
		}
		path, err := modelPath(in.Model)
		if err != nil {
			return nil, err
		}
		verb := ":generateContent"
		if t.req.Stream {
			verb = ":streamGenerateContent?alt=sse"
		}
		return &dialect.Call{
			Path: path + verb, Body: body, Stream: t.req.Stream, Ignored: t.ignored,
			Reply: &chatReply{options: options, model: in.Model, usage: t.req.StreamOptions.IncludeUsage, wav: t.wav, names: t.names, searches: t.searches, mayBeEmpty: rawjson.Set(t.req.Stop) != nil},
		}, nil
	}
}

// modelPath returns a model's path, escaped so that no name leads to another path.
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

// toGemini is the state of the translation of one request. Its values are spans of
// the client's body.
type toGemini struct {
	options  Options
	facts    Facts
	req      chatRequest
	provider string
	ignored  []string
	wav      bool // the client asked for audio as WAV; Gemini sends samples without a header

	system   []part
	contents []content
	names    toolNames
	calls    []pendingCall // calls of the last assistant turn, in order
	searches bool          // Google's search, or its URL context, is among the tools
}

func (t *toGemini) ignore(name string) {
	t.ignored = dialect.Ignore(t.ignored, name)
}

// translate writes the request. size is the size of the client's body.
func (t *toGemini) translate(size int) ([]byte, error) {
	if len(t.req.Messages) == 0 {
		return nil, dialect.Invalid("messages", "messages must be a list of at least one message")
	}
	if err := t.messages(); err != nil {
		return nil, err
	}
	if len(t.contents) == 0 {
		// Gemini requires contents: if there are only instructions, they become the
		// question.
		if len(t.system) == 0 {
			return nil, dialect.Invalid("messages", "messages have no content")
		}
		t.contents, t.system = []content{{Role: "user", Parts: t.system}}, nil
	}
	var out rawjson.Object
	if len(t.system) > 0 {
		out = append(out, rawjson.M("systemInstruction", appendContent(nil, &content{Parts: t.system})))
	}
	out = append(out, rawjson.M("contents", nil)) // written by join
	tools, config, err := t.tools()
	if err != nil {
		return nil, err
	}
	if tools != nil {
		out = append(out, rawjson.M("tools", tools))
	}
	if config != nil {
		out = append(out, rawjson.M("toolConfig", config))
	}
	generation, err := t.generation()
	if err != nil {
		return nil, err
	}
	if generation != nil {
		out = append(out, rawjson.M("generationConfig", generation))
	}
	if out, err = t.extra(out); err != nil {
		return nil, err
	}
	return t.join(out, size), nil
}

// join writes the members of the request, with the contents in their place.
func (t *toGemini) join(out rawjson.Object, size int) []byte {
	b := append(make([]byte, 0, size+size/8+1024), '{')
	for i, m := range out {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonscan.AppendQuote(b, m.Name), ':')
		if m.Value == nil {
			b = appendContents(b, t.contents)
		} else {
			b = append(b, m.Value...)
		}
	}
	return append(b, '}')
}

// extra merges extra_body.<provider> into the request: objects are merged, tools
// are added, and everything else is replaced. As at Google's own chat endpoint,
// thinking_config and cached_content can have these names too.
func (t *toGemini) extra(out rawjson.Object) (rawjson.Object, error) {
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
				return nil, dialect.Invalid("extra_body."+m.Name+".model", "the model can only be set by model")
			case "thinking_config":
				f = rawjson.M("generationConfig", rawjson.Object{rawjson.M("thinkingConfig", camel(f.Value))}.JSON())
			case "cached_content":
				f.Name = "cachedContent"
			}
			out = merge(out, f)
		}
	}
	return out, nil
}

// merge merges one member into an object.
func merge(into rawjson.Object, m rawjson.Member) rawjson.Object {
	for i := range into {
		if into[i].Name != m.Name {
			continue
		}
		if inner, ok := rawjson.Members(m.Value); ok && rawjson.IsObject(into[i].Value) {
			have, _ := rawjson.Members(into[i].Value)
			for _, deeper := range inner {
				have = merge(have, deeper)
			}
			into[i].Value = have.JSON()
			return into
		}
		if more, ok := rawjson.Elements(m.Value); ok && m.Name == "tools" {
			if have, ok := rawjson.Elements(into[i].Value); ok {
				into[i].Value = rawjson.Array(append(have, more...))
				return into
			}
		}
		into[i].Value = m.Value
		return into
	}
	return append(into, m)
}
