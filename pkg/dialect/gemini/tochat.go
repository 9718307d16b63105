package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// nativeRequest is a GenerateContentRequest.
type nativeRequest struct {
	Contents          json.RawMessage   `json:"contents"`
	SystemInstruction json.RawMessage   `json:"systemInstruction"`
	Tools             []json.RawMessage `json:"tools"`
	ToolConfig        struct {
		Calling callingConfig `json:"functionCallingConfig"`
	} `json:"toolConfig"`
	CachedContent string        `json:"cachedContent"`
	Rest          jsonscan.Rest `json:"-"`
}

type nativeGeneration struct {
	generationConfig
	OldSchema json.RawMessage `json:"_responseJsonSchema"`
	Rest      jsonscan.Rest   `json:"-"`
}

// ToChat translates Gemini's generateContent into chat completions. The model and
// whether to stream come from the path (ParsePath), in dialect.Request.
func ToChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		f := &fromGemini{}
		body := camel(in.Body)
		if err := jsonscan.Decode(body, &f.req); err != nil {
			return nil, dialect.Unreadable("generateContent", err)
		}
		for _, m := range f.req.Rest {
			switch {
			case m.Name == "model" || !m.Value.Set():
			case m.Name == "generationConfig":
				if err := f.readGeneration(m.Value.JSON()); err != nil {
					return nil, dialect.Unreadable("generateContent", err)
				}
			default:
				f.ignored = dialect.Ignore(f.ignored, m.Name)
			}
		}
		out, err := f.translate(in)
		if err != nil {
			return nil, err
		}
		thoughts := f.generation.ThinkingConfig != nil && f.generation.ThinkingConfig.IncludeThoughts
		call := &dialect.Call{
			Path: "/chat/completions", Stream: in.Stream, Ignored: f.ignored,
			Reply: &nativeReply{options: options, model: in.Model, thoughts: thoughts, searches: f.search != nil, enum: f.enum},
		}
		call.SetChat(in, out)
		return call, nil
	}
}

// readGeneration reads generationConfig and notes its ignored members.
func (f *fromGemini) readGeneration(raw json.RawMessage) error {
	const member = "generationConfig"
	err := jsonscan.Decode(raw, &f.generation)
	if rawjson.Set(f.generation.TopK) != nil {
		f.ignored = dialect.Ignore(f.ignored, member+".topK")
	}
	for _, m := range f.generation.Rest {
		if m.Value.Set() {
			f.ignored = dialect.Ignore(f.ignored, member+"."+m.Name)
		}
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		mismatch.Field = strings.TrimSuffix(member+"."+mismatch.Field, ".")
	}
	return err
}

// fromGemini is the state of the translation of one request. Its values are spans
// of the client's body.
type fromGemini struct {
	req        nativeRequest
	generation nativeGeneration
	ignored    []string

	messages []jsonscan.Value
	tools    []jsonscan.Value
	search   *dialect.WebSearch // of Google's own tools
	calls    []openCall         // of the model's last turn, still without a result
	enum     bool               // the response is one word of a list
}

func (f *fromGemini) translate(in dialect.Request) (out jsonscan.Value, err error) {
	if f.req.CachedContent != "" {
		return out, dialect.Invalid("cachedContent", "cached content is stored by Google and cannot be used with this provider")
	}
	g := &f.generation
	if err := f.instruction(); err != nil {
		return out, err
	}
	if err := f.contents(); err != nil {
		return out, err
	}
	put := func(name string, raw json.RawMessage) { out.Put(name, jsonscan.Raw(rawjson.Set(raw))) }
	out.PutText("model", in.Model)
	out.Put("messages", jsonscan.Arr(f.messages))
	if err := f.functions(&out); err != nil {
		return out, err
	}
	put("temperature", g.Temperature)
	put("top_p", g.TopP)
	put("max_completion_tokens", g.MaxOutputTokens)
	if len(g.StopSequences) > 0 {
		put("stop", rawjson.Must(g.StopSequences))
	}
	if string(g.CandidateCount) != "1" {
		put("n", g.CandidateCount)
	}
	put("seed", g.Seed)
	put("presence_penalty", g.PresencePenalty)
	put("frequency_penalty", g.FrequencyPenalty)
	if g.ResponseLogprobs {
		out.Put("logprobs", jsonscan.Lit("true"))
		put("top_logprobs", g.Logprobs)
	}
	for _, step := range []func(*jsonscan.Value) error{f.format, f.modalities, f.thinking} {
		if err := step(&out); err != nil {
			return out, err
		}
	}
	if f.search != nil {
		out.Put("web_search_options", f.search.Value())
	}
	if in.Stream {
		out.Put("stream", jsonscan.Lit("true"))
		out.Put("stream_options", jsonscan.Lit(`{"include_usage":true}`))
	}
	return out, nil
}

// mentionJSON adds an instruction if no content contains the word JSON, because
// OpenAI's JSON mode requires it.
func (f *fromGemini) mentionJSON(out *jsonscan.Value) {
	for _, text := range [][]byte{f.req.Contents, f.req.SystemInstruction} {
		if bytes.Contains(bytes.ToLower(text), []byte("json")) {
			return
		}
	}
	instruction := jsonscan.Lit(`{"role":"system","content":"Answer with a JSON object."}`)
	out.Put("messages", jsonscan.Arr(append([]jsonscan.Value{instruction}, f.messages...)))
}

// enumType is the response type for one word of a list. Other providers return the
// word as the only member of an object, because their schemas describe objects.
const (
	enumType   = "text/x.enum"
	enumMember = "value"
)

func (f *fromGemini) format(out *jsonscan.Value) error {
	g := &f.generation
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
			out.Put("response_format", jsonscan.Lit(`{"type":"json_object"}`))
			f.mentionJSON(out)
			return nil
		}
		out.Put("response_format", jsonscan.Obj(
			member("type", jsonscan.Lit(`"json_schema"`)),
			member("json_schema", jsonscan.Obj(member("name", jsonscan.Lit(`"response"`)), member("schema", jsonscan.Raw(schema)))),
		))
	case enumType:
		if schema == nil {
			return dialect.Invalid("generationConfig.responseSchema", "responseMimeType text/x.enum needs a responseSchema with enum")
		}
		f.enum = true
		object := jsonscan.Obj(
			member("type", jsonscan.Lit(`"object"`)), member("properties", jsonscan.Obj(member(enumMember, jsonscan.Raw(schema)))),
			member("required", jsonscan.Lit(`["`+enumMember+`"]`)), member("additionalProperties", jsonscan.Lit("false")))
		out.Put("response_format", jsonscan.Obj(
			member("type", jsonscan.Lit(`"json_schema"`)),
			member("json_schema", jsonscan.Obj(member("name", jsonscan.Lit(`"response"`)), member("schema", object), member("strict", jsonscan.Lit("true")))),
		))
	default:
		return dialect.Invalid("generationConfig.responseMimeType", fmt.Sprintf("responseMimeType %q cannot be used with this provider: use text/plain, text/x.enum or application/json", g.ResponseMimeType))
	}
	return nil
}

func (f *fromGemini) modalities(out *jsonscan.Value) error {
	g := &f.generation
	var modalities []string
	for i, m := range g.ResponseModalities {
		switch m = strings.ToLower(m); m {
		case "text", "audio", "image":
			modalities = append(modalities, m)
		default:
			return dialect.Invalid(fmt.Sprintf("generationConfig.responseModalities[%d]", i), fmt.Sprintf("modality %q is unknown", m))
		}
	}
	speaks := slices.Contains(modalities, "audio")
	if speaks && !slices.Contains(modalities, "text") {
		modalities = append([]string{"text"}, modalities...) // chat models return text along with audio
	}
	if len(modalities) > 0 && !slices.Equal(modalities, []string{"text"}) {
		out.Put("modalities", jsonscan.Raw(rawjson.Must(modalities)))
	}
	if !speaks {
		return nil
	}
	var speech struct {
		Voice struct {
			Prebuilt struct {
				Name string `json:"voiceName"`
			} `json:"prebuiltVoiceConfig"`
		} `json:"voiceConfig"`
	}
	if raw := rawjson.Set(g.SpeechConfig); raw != nil {
		if err := jsonscan.Decode(raw, &speech); err != nil {
			return dialect.Invalid("generationConfig.speechConfig", "speechConfig must be an object")
		}
	}
	voice := speech.Voice.Prebuilt.Name
	if voice == "" {
		voice = "alloy"
	}
	out.Put("audio", jsonscan.Obj(member("voice", jsonscan.Quoted(voice)), member("format", jsonscan.Lit(`"pcm16"`))))
	return nil
}

func (f *fromGemini) thinking(out *jsonscan.Value) error {
	t := f.generation.ThinkingConfig
	effort := ""
	switch {
	case t == nil:
	case t.ThinkingLevel != "" && t.ThinkingLevel != "THINKING_LEVEL_UNSPECIFIED":
		known := false
		if effort, known = dialect.Effort(t.ThinkingLevel); !known {
			f.ignored = dialect.Ignore(f.ignored, "generationConfig.thinkingConfig.thinkingLevel")
		}
	case t.ThinkingBudget == nil || *t.ThinkingBudget < 0: // the model decides
	case *t.ThinkingBudget == 0:
		effort = "none"
	case *t.ThinkingBudget <= 1024:
		effort = "low"
	case *t.ThinkingBudget <= 8192:
		effort = "medium"
	default:
		effort = "high"
	}
	if effort != "" {
		out.PutText("reasoning_effort", effort)
	}
	return nil
}

// member returns a member of an object to be written.
func member(name string, value jsonscan.Value) jsonscan.Field {
	return jsonscan.Field{Name: name, Value: value}
}
