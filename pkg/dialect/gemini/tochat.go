package gemini

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// nativeRequest is a GenerateContentRequest as it comes in.
type nativeRequest struct {
	Contents          json.RawMessage `json:"contents"`
	SystemInstruction json.RawMessage `json:"systemInstruction"`
	Tools             []nativeTool    `json:"tools"`
	ToolConfig        struct {
		Calling callingConfig `json:"functionCallingConfig"`
	} `json:"toolConfig"`
	Generation    nativeGeneration `json:"generationConfig"`
	CachedContent string           `json:"cachedContent"`
}

// nativeTool is a tool: an object of one member, or of several.
type nativeTool rawjson.Object

func (m *nativeTool) UnmarshalJSON(raw []byte) error {
	list, ok := rawjson.Members(raw)
	if !ok {
		return fmt.Errorf("a tool must be an object")
	}
	*m = nativeTool(list)
	return nil
}

type nativeGeneration struct {
	generationConfig
	OldSchema json.RawMessage `json:"_responseJsonSchema"`
}

// carried names the members of a request that have their place in a chat's.
var carried = []string{"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent"}

// carriedGeneration does so for generationConfig.
var carriedGeneration = []string{
	"temperature", "topP", "maxOutputTokens", "stopSequences", "candidateCount", "seed", "presencePenalty", "frequencyPenalty",
	"responseLogprobs", "logprobs", "responseMimeType", "responseJsonSchema", "responseSchema", "_responseJsonSchema", "responseModalities",
	"speechConfig", "thinkingConfig",
}

// ToChat translates Gemini's generateContent into chat completions. Model and
// stream flag come from the path (ParsePath) in dialect.Request.
func ToChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req nativeRequest
		body := camel(in.Body)
		if err := json.Unmarshal(body, &req); err != nil {
			return nil, dialect.Unreadable("generateContent", err)
		}
		f := &fromGemini{req: &req}
		out, err := f.translate(in)
		if err != nil {
			return nil, err
		}
		f.report(body)
		sent, err := rawjson.Marshal(out)
		if err != nil {
			return nil, err
		}
		thoughts := req.Generation.ThinkingConfig != nil && req.Generation.ThinkingConfig.IncludeThoughts
		return &dialect.Call{
			Path: "/chat/completions", Body: sent, Stream: in.Stream, Ignored: f.ignored,
			Reply: &nativeReply{options: options, model: in.Model, thoughts: thoughts},
		}, nil
	}
}

// fromGemini gathers one chat request.
type fromGemini struct {
	req      *nativeRequest
	messages []json.RawMessage
	ignored  []string
	open     []opened // calls without their result yet
}

func (f *fromGemini) report(body []byte) {
	ignore := func(raw json.RawMessage, before string, known []string) {
		list, _ := rawjson.Members(raw)
		for _, m := range list {
			if !slices.Contains(known, m.Name) && rawjson.Set(m.Value) != nil {
				f.ignored = dialect.Ignore(f.ignored, before+m.Name)
			}
			if before == "" && m.Name == "generationConfig" {
				generation, _ := rawjson.Members(m.Value)
				for _, g := range generation {
					if !slices.Contains(carriedGeneration, g.Name) && rawjson.Set(g.Value) != nil {
						f.ignored = dialect.Ignore(f.ignored, "generationConfig."+g.Name)
					}
				}
			}
		}
	}
	ignore(body, "", carried)
}

func (f *fromGemini) translate(in dialect.Request) (*openai.Request, error) {
	if f.req.CachedContent != "" {
		return nil, dialect.Invalid("cachedContent", "cached content is kept by Google itself and cannot be used with this provider")
	}
	g := &f.req.Generation
	out := &openai.Request{
		Model: in.Model, Stream: in.Stream,
		Temperature: rawjson.Set(g.Temperature), TopP: rawjson.Set(g.TopP), MaxCompletionTokens: rawjson.Set(g.MaxOutputTokens),
		N: rawjson.Set(g.CandidateCount), Seed: rawjson.Set(g.Seed), PresencePenalty: rawjson.Set(g.PresencePenalty), FrequencyPenalty: rawjson.Set(g.FrequencyPenalty),
		Logprobs: g.ResponseLogprobs,
	}
	if string(out.N) == "1" {
		out.N = nil
	}
	if out.Logprobs {
		out.TopLogprobs = rawjson.Set(g.Logprobs)
	}
	if len(g.StopSequences) > 0 {
		out.Stop = rawjson.Must(g.StopSequences)
	}
	if in.Stream {
		out.StreamOptions = json.RawMessage(`{"include_usage":true}`)
	}
	if err := f.instruction(); err != nil {
		return nil, err
	}
	if err := f.contents(); err != nil {
		return nil, err
	}
	out.Messages = f.messages
	for _, step := range []func(*openai.Request) error{f.tools, f.format, f.modalities, f.thinking} {
		if err := step(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *fromGemini) format(out *openai.Request) error {
	g := &f.req.Generation
	schema := rawjson.Set(g.ResponseJSONSchema)
	if schema == nil {
		schema = rawjson.Set(g.OldSchema)
	}
	if schema == nil && rawjson.Set(g.ResponseSchema) != nil {
		schema = StandardSchema(g.ResponseSchema)
	}
	switch g.ResponseMimeType {
	case "", "text/plain":
	case "application/json":
		if schema == nil {
			out.ResponseFormat = json.RawMessage(`{"type":"json_object"}`)
			return nil
		}
		out.ResponseFormat = rawjson.Object{
			rawjson.T("type", "json_schema"),
			rawjson.M("json_schema", rawjson.Object{rawjson.T("name", "response"), rawjson.M("schema", schema)}.JSON()),
		}.JSON()
	default:
		return dialect.Invalid("generationConfig.responseMimeType", fmt.Sprintf("responseMimeType %q cannot be used with this provider; use text/plain or application/json", g.ResponseMimeType))
	}
	return nil
}

func (f *fromGemini) modalities(out *openai.Request) error {
	g := &f.req.Generation
	for i, m := range g.ResponseModalities {
		switch m = strings.ToLower(m); m {
		case "text", "audio", "image":
			out.Modalities = append(out.Modalities, m)
		default:
			return dialect.Invalid(fmt.Sprintf("generationConfig.responseModalities[%d]", i), fmt.Sprintf("modality %q is not known", m))
		}
	}
	if slices.Equal(out.Modalities, []string{"text"}) {
		out.Modalities = nil
	}
	if !slices.Contains(out.Modalities, "audio") {
		return nil
	}
	if !slices.Contains(out.Modalities, "text") {
		out.Modalities = append([]string{"text"}, out.Modalities...) // chat models speak and write
	}
	var speech struct {
		Voice struct {
			Prebuilt struct {
				Name string `json:"voiceName"`
			} `json:"prebuiltVoiceConfig"`
		} `json:"voiceConfig"`
	}
	if raw := rawjson.Set(g.SpeechConfig); raw != nil {
		if err := json.Unmarshal(raw, &speech); err != nil {
			return dialect.Invalid("generationConfig.speechConfig", "speechConfig must be an object")
		}
	}
	voice := speech.Voice.Prebuilt.Name
	if voice == "" {
		voice = "alloy"
	}
	out.Audio = rawjson.Object{rawjson.T("voice", voice), rawjson.T("format", "pcm16")}.JSON()
	return nil
}

func (f *fromGemini) thinking(out *openai.Request) error {
	t := f.req.Generation.ThinkingConfig
	switch {
	case t == nil:
	case t.ThinkingLevel != "" && t.ThinkingLevel != "THINKING_LEVEL_UNSPECIFIED":
		level := strings.ToLower(t.ThinkingLevel)
		if _, ok := budgets[level]; !ok {
			return dialect.Invalid("generationConfig.thinkingConfig.thinkingLevel", fmt.Sprintf("thinkingLevel %q is not known", t.ThinkingLevel))
		}
		out.ReasoningEffort = level
	case t.ThinkingBudget == nil || *t.ThinkingBudget < 0: // as the model sees fit
	case *t.ThinkingBudget == 0:
		out.ReasoningEffort = "none"
	case *t.ThinkingBudget <= 1024:
		out.ReasoningEffort = "low"
	case *t.ThinkingBudget <= 8192:
		out.ReasoningEffort = "medium"
	default:
		out.ReasoningEffort = "high"
	}
	return nil
}
