package gemini

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

type generationConfig struct {
	Temperature        json.RawMessage `json:"temperature,omitempty"`
	TopP               json.RawMessage `json:"topP,omitempty"`
	TopK               json.RawMessage `json:"topK,omitempty"`
	MaxOutputTokens    json.RawMessage `json:"maxOutputTokens,omitempty"`
	StopSequences      []string        `json:"stopSequences,omitempty"`
	CandidateCount     json.RawMessage `json:"candidateCount,omitempty"`
	Seed               json.RawMessage `json:"seed,omitempty"`
	PresencePenalty    json.RawMessage `json:"presencePenalty,omitempty"`
	FrequencyPenalty   json.RawMessage `json:"frequencyPenalty,omitempty"`
	ResponseLogprobs   bool            `json:"responseLogprobs,omitempty"`
	Logprobs           json.RawMessage `json:"logprobs,omitempty"`
	ResponseMimeType   string          `json:"responseMimeType,omitempty"`
	ResponseJSONSchema json.RawMessage `json:"responseJsonSchema,omitempty"`
	ResponseSchema     json.RawMessage `json:"responseSchema,omitempty"`
	ResponseModalities []string        `json:"responseModalities,omitempty"`
	SpeechConfig       json.RawMessage `json:"speechConfig,omitempty"`
	ThinkingConfig     *thinkingConfig `json:"thinkingConfig,omitempty"`
}

type thinkingConfig struct {
	IncludeThoughts bool   `json:"includeThoughts,omitempty"`
	ThinkingLevel   string `json:"thinkingLevel,omitempty"`
	ThinkingBudget  *int   `json:"thinkingBudget,omitempty"`
}

// generation translates the options of a request. It returns nil if there are none.
func (t *toGemini) generation() (json.RawMessage, error) {
	req := &t.req
	out := &generationConfig{
		Temperature: rawjson.Set(req.Temperature), TopP: rawjson.Set(req.TopP), TopK: rawjson.Set(req.TopK), MaxOutputTokens: rawjson.Set(req.MaxCompletionTokens),
		CandidateCount: rawjson.Set(req.N), Seed: rawjson.Set(req.Seed), PresencePenalty: rawjson.Set(req.PresencePenalty), FrequencyPenalty: rawjson.Set(req.FrequencyPenalty),
		ResponseLogprobs: req.Logprobs,
	}
	if out.MaxOutputTokens == nil {
		out.MaxOutputTokens = rawjson.Set(req.MaxTokens)
	}
	if string(out.CandidateCount) == "1" {
		out.CandidateCount = nil
	}
	if req.Logprobs {
		if out.Logprobs = rawjson.Set(req.TopLogprobs); string(out.Logprobs) == "0" {
			out.Logprobs = nil
		}
	}
	for _, step := range []func(*generationConfig) error{t.stop, t.format, t.modalities, t.thinking} {
		if err := step(out); err != nil {
			return nil, err
		}
	}
	if raw := rawjson.Must(out); string(raw) != "{}" {
		return raw, nil
	}
	return nil, nil
}

func (t *toGemini) stop(out *generationConfig) error {
	raw := rawjson.Set(t.req.Stop)
	if raw == nil {
		return nil
	}
	var list []string
	if s, ok := rawjson.Text(raw); ok {
		list = []string{s}
	} else if jsonscan.Decode(raw, &list) != nil {
		return dialect.Invalid("stop", "stop must be a string or a list of strings")
	}
	out.StopSequences = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	return nil
}

func (t *toGemini) format(out *generationConfig) error {
	raw := rawjson.Set(t.req.ResponseFormat)
	if raw == nil {
		return nil
	}
	var f struct {
		Type   string `json:"type"`
		Schema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if err := jsonscan.Decode(raw, &f); err != nil {
		return dialect.Invalid("response_format", "response_format must be an object")
	}
	switch f.Type {
	case "text":
		return nil
	case "json_object":
		out.ResponseMimeType = "application/json"
		return nil
	case "json_schema":
		out.ResponseMimeType = "application/json"
		schema := rawjson.Set(f.Schema.Schema)
		switch {
		case schema == nil:
		case !rawjson.IsObject(schema):
			return dialect.Invalid("response_format.json_schema.schema", "the schema must be an object")
		case t.options.PlainSchemas:
			out.ResponseSchema = CleanSchema(schema)
		default:
			out.ResponseJSONSchema = schema
		}
		return nil
	}
	return dialect.Invalid("response_format.type", fmt.Sprintf("response_format %q is unknown: use text, json_object or json_schema", f.Type))
}

func (t *toGemini) modalities(out *generationConfig) error {
	for i, m := range t.req.Modalities {
		switch m {
		case "text", "audio", "image":
			out.ResponseModalities = append(out.ResponseModalities, strings.ToUpper(m))
		default:
			return dialect.Invalid(fmt.Sprintf("modalities[%d]", i), fmt.Sprintf("modality %q is unknown: use text, audio or image", m))
		}
	}
	if slices.Equal(out.ResponseModalities, []string{"TEXT"}) {
		out.ResponseModalities = nil
	}
	if slices.Contains(out.ResponseModalities, "AUDIO") {
		// Gemini's models produce either text or audio, not both.
		out.ResponseModalities = slices.DeleteFunc(out.ResponseModalities, func(m string) bool { return m == "TEXT" })
	}
	raw := rawjson.Set(t.req.Audio)
	if raw == nil {
		return nil
	}
	var audio struct {
		Voice  json.RawMessage `json:"voice"`
		Format string          `json:"format"`
	}
	if err := jsonscan.Decode(raw, &audio); err != nil {
		return dialect.Invalid("audio", "audio must be an object")
	}
	switch audio.Format {
	case "pcm16", "":
	case "wav":
		if t.req.Stream {
			return dialect.Invalid("audio.format", "audio in a stream must be pcm16")
		}
		t.wav = true
	default:
		return dialect.Invalid("audio.format", fmt.Sprintf("audio format %q cannot be used with this provider: use pcm16 or wav", audio.Format))
	}
	if voice, ok := rawjson.Text(audio.Voice); ok && voice != "" {
		out.SpeechConfig = rawjson.Object{rawjson.M("voiceConfig", rawjson.Object{rawjson.M("prebuiltVoiceConfig", rawjson.Object{rawjson.T("voiceName", voice)}.JSON())}.JSON())}.JSON()
	}
	return nil
}

// budgets are the tokens for each reasoning_effort, as at Google's own chat
// endpoint (https://ai.google.dev/gemini-api/docs/openai).
var budgets = map[string]int{"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 32768}

func (t *toGemini) thinking(out *generationConfig) error {
	effort, known := dialect.Effort(t.req.ReasoningEffort)
	if !known {
		t.ignore("reasoning_effort")
	}
	if effort == "" {
		return nil
	}
	switch level := t.facts.Levels.Nearest(effort); {
	case t.facts.MaxBudget > 0:
		budget := min(max(budgets[effort], t.facts.MinBudget), t.facts.MaxBudget)
		if effort == "none" && budget > 0 {
			t.ignore("reasoning_effort") // it always thinks
		}
		out.ThinkingConfig = &thinkingConfig{IncludeThoughts: effort != "none", ThinkingBudget: &budget}
	case t.facts.Levels != "" && level != "":
		if level != effort {
			t.ignore("reasoning_effort")
		}
		out.ThinkingConfig = &thinkingConfig{IncludeThoughts: effort != "none", ThinkingLevel: level}
	case effort != "none":
		t.ignore("reasoning_effort")
	}
	return nil
}
