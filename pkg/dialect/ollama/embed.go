package ollama

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// EmbedToOpenAI translates /api/embed into OpenAI's /v1/embeddings.
func EmbedToOpenAI(options Options) dialect.Translator { return embedder(options, "input") }

// EmbeddingsToOpenAI translates the older /api/embeddings, which has one prompt and
// returns one embedding.
func EmbeddingsToOpenAI(options Options) dialect.Translator { return embedder(options, "prompt") }

func embedder(options Options, field string) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req struct {
			Model      string          `json:"model"`
			Input      json.RawMessage `json:"input"`
			Prompt     json.RawMessage `json:"prompt"`
			Dimensions json.RawMessage `json:"dimensions"`
		}
		if err := jsonscan.Decode(in.Body, &req); err != nil {
			return nil, dialect.Unreadable("Ollama", err)
		}
		input := rawjson.Set(req.Input)
		if field == "prompt" {
			input = rawjson.Set(req.Prompt)
		}
		var several []string
		if _, one := rawjson.Text(input); !one && (field == "prompt" || jsonscan.Decode(input, &several) != nil || len(several) == 0) {
			return nil, dialect.Invalid(field, field+" must be a string"+map[string]string{"input": " or a list of strings"}[field])
		}
		out := rawjson.Object{rawjson.T("model", in.Model), rawjson.M("input", input), rawjson.T("encoding_format", "float")}
		if d := rawjson.Set(req.Dimensions); d != nil && field == "input" {
			out = append(out, rawjson.M("dimensions", d))
		}
		reply := &embedReply{options: options, model: req.Model, single: field == "prompt", start: options.Now()}
		if reply.model == "" {
			reply.model = in.Model
		}
		call := &dialect.Call{Path: "/embeddings", Body: out.JSON(), Reply: reply}
		all, _ := rawjson.Members(in.Body)
		for _, m := range all {
			// truncate needs no translation: providers either truncate or refuse
			// long input by themselves.
			if !slices.Contains([]string{"model", field, "dimensions", "keep_alive"}, m.Name) && rawjson.Set(m.Value) != nil {
				call.Ignored = append(call.Ignored, m.Name)
			}
		}
		return call, nil
	}
}

// NothingToEmbed returns the response to an /api/embed request with an empty list,
// which needs no provider. ok is false for any other request.
func NothingToEmbed(body []byte) (answer []byte, ok bool) {
	var req struct {
		Model string         `json:"model"`
		Input jsonscan.Value `json:"input"`
	}
	if jsonscan.Decode(body, &req) != nil || req.Input.Kind() != '[' {
		return nil, false
	}
	for range req.Input.Elements() {
		return nil, false
	}
	b := jsonscan.AppendQuote([]byte(`{"model":`), req.Model)
	return append(b, `,"embeddings":[],"total_duration":1,"load_duration":0,"prompt_eval_count":0}`...), true
}

type embedReply struct {
	options Options
	model   string
	single  bool
	start   time.Time
}

type embedded struct {
	Index     int             `json:"index"`
	Embedding json.RawMessage `json:"embedding"`
}

func (r *embedReply) Error(status int, _ http.Header, body []byte) []byte {
	return errorBody(messageOf(status, body))
}

func (r *embedReply) Body(body []byte) ([]byte, error) {
	var a struct {
		Data  []embedded `json:"data"`
		Usage usage      `json:"usage"`
	}
	if err := jsonscan.Decode(body, &a); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's response contains no embeddings", Err: err}
	}
	slices.SortStableFunc(a.Data, func(x, y embedded) int { return x.Index - y.Index })
	var list []json.RawMessage
	for _, d := range a.Data {
		if _, ok := rawjson.Elements(d.Embedding); !ok {
			return nil, fault.New(fault.Upstream, "the provider's response contains an embedding that is not a list of numbers")
		}
		list = append(list, rawjson.Compact(d.Embedding))
	}
	if r.single {
		if len(list) == 0 {
			return nil, fault.New(fault.Upstream, "the provider's response contains no embedding")
		}
		return rawjson.Object{rawjson.M("embedding", list[0])}.JSON(), nil
	}
	b := jsonscan.AppendQuote([]byte(`{"model":`), r.model)
	b = append(append(b, `,"embeddings":`...), rawjson.Array(list)...)
	elapsed := max(1, int64(r.options.Now().Sub(r.start)))
	return append(b, fmt.Sprintf(`,"total_duration":%d,"load_duration":0,"prompt_eval_count":%d}`, elapsed, a.Usage.Prompt)...), nil
}

func (r *embedReply) Stream() dialect.Stream { return noStream{} }

// noStream returns an error for calls whose response is never a stream.
type noStream struct{}

func (noStream) Event(sse.Event, func(sse.Event)) error {
	return fault.New(fault.Upstream, "the provider answered with a stream")
}

func (noStream) End(cause error, emit func(sse.Event)) error {
	emit(sse.Event{Data: errorBody("the provider answered with a stream")})
	return dialect.Incomplete(cause)
}
