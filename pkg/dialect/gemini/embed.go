package gemini

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// embedRequest is one EmbedContentRequest.
type embedRequest struct {
	Model      string          `json:"model,omitempty"`
	Content    content         `json:"content"`
	TaskType   string          `json:"taskType,omitempty"`
	Title      string          `json:"title,omitempty"`
	Dimensions json.RawMessage `json:"outputDimensionality,omitempty"`
}

type embedding struct {
	Values json.RawMessage `json:"values"`
}

// embedAnswer is the response of both of Gemini's methods.
type embedAnswer struct {
	Embedding  *embedding  `json:"embedding"`
	Embeddings []embedding `json:"embeddings"`
	Usage      struct {
		Prompt int `json:"promptTokenCount"`
	} `json:"usageMetadata"`
}

// EmbedFromOpenAI translates OpenAI's /v1/embeddings into Gemini's :embedContent,
// or :batchEmbedContents for several inputs. If Gemini reports no token count,
// usage is an estimate of one token for four bytes.
func EmbedFromOpenAI() dialect.Translator {
	return func(in dialect.Request) (*dialect.Call, error) {
		var req struct {
			Input      json.RawMessage `json:"input"`
			Dimensions json.RawMessage `json:"dimensions"`
			Format     string          `json:"encoding_format"`
		}
		if err := jsonscan.Decode(in.Body, &req); err != nil {
			return nil, dialect.Unreadable("embeddings", err)
		}
		path, err := modelPath(in.Model)
		if err != nil {
			return nil, err
		}
		if !slices.Contains([]string{"", "float", "base64"}, req.Format) {
			return nil, dialect.Invalid("encoding_format", fmt.Sprintf("encoding_format %q is unknown: use float or base64", req.Format))
		}
		var inputs []string
		one, single := rawjson.Text(req.Input)
		if single {
			inputs = []string{one}
		} else if jsonscan.Decode(req.Input, &inputs) != nil || len(inputs) == 0 {
			return nil, dialect.Invalid("input", "input must be a string or a list of strings with this provider")
		}
		size := 0
		var requests []embedRequest
		name := strings.TrimPrefix(path, "/")
		for _, s := range inputs {
			size += len(s)
			requests = append(requests, embedRequest{Model: name, Content: content{Parts: []part{textPart(s)}}, Dimensions: rawjson.Set(req.Dimensions)})
		}
		call := &dialect.Call{Path: path + ":batchEmbedContents", Reply: &embedReply{model: in.Model, base64: req.Format == "base64", tokens: (size + 3) / 4}}
		if single {
			call.Path = path + ":embedContent"
			call.Body, err = rawjson.Marshal(requests[0])
		} else {
			call.Body, err = rawjson.Marshal(map[string]any{"requests": requests})
		}
		all, _ := rawjson.Members(in.Body)
		for _, m := range all {
			if !slices.Contains([]string{"model", "input", "dimensions", "encoding_format"}, m.Name) && rawjson.Set(m.Value) != nil {
				call.Ignored = append(call.Ignored, m.Name)
			}
		}
		return call, err
	}
}

type embedReply struct {
	model  string
	base64 bool
	tokens int
}

func (r *embedReply) Stream() dialect.Stream { return noStream{chatError} }

func (r *embedReply) Error(status int, header http.Header, body []byte) []byte {
	return chatError(readError(status, header, body))
}

func (r *embedReply) Body(body []byte) ([]byte, error) {
	var a embedAnswer
	if err := jsonscan.Decode(body, &a); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's response contains no embeddings", Err: err}
	}
	if a.Embedding != nil {
		a.Embeddings = []embedding{*a.Embedding}
	}
	if a.Usage.Prompt > 0 {
		r.tokens = a.Usage.Prompt
	}
	b := []byte(`{"object":"list","data":[`)
	for i, e := range a.Embeddings {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"object":"embedding","index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"embedding":`...)
		var values []float32
		if err := jsonscan.Decode(e.Values, &values); err != nil {
			return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's response contains an embedding that is not a list of numbers", Err: err}
		}
		switch {
		case r.base64:
			b = rawjson.AppendString(b, pack(values))
		case values == nil:
			b = append(b, "[]"...)
		default:
			b = append(b, rawjson.Compact(e.Values)...)
		}
		b = append(b, '}')
	}
	b = rawjson.AppendString(append(b, `],"model":`...), r.model)
	b = append(b, fmt.Sprintf(`,"usage":{"prompt_tokens":%d,"total_tokens":%d}}`, r.tokens, r.tokens)...)
	return b, nil
}

// pack returns OpenAI's base64 form: 32-bit floats, little endian.
func pack(values []float32) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// EmbedToOpenAI translates Gemini's :embedContent and :batchEmbedContents into
// OpenAI's /v1/embeddings. All requests of a batch use the path's model.
func EmbedToOpenAI() dialect.Translator {
	return func(in dialect.Request) (*dialect.Call, error) {
		var req struct {
			embedRequest
			Requests *[]embedRequest `json:"requests"`
		}
		if err := jsonscan.Decode(camel(in.Body), &req); err != nil {
			return nil, dialect.Unreadable("embedContent", err)
		}
		list, batch := []embedRequest{req.embedRequest}, req.Requests != nil
		if batch {
			list = *req.Requests
		}
		if len(list) == 0 {
			return nil, dialect.Invalid("requests", "requests are missing")
		}
		var inputs []json.RawMessage
		var ignored []string
		for i := range list {
			at := "content"
			if batch {
				at = fmt.Sprintf("requests[%d].content", i)
			}
			var texts []jsonscan.String
			for k := range list[i].Content.Parts {
				p := &list[i].Content.Parts[k]
				if p.renderCode(); p.Text == nil {
					return nil, dialect.Invalid(fmt.Sprintf("%s.parts[%d]", at, k), "only text can be embedded with this provider")
				}
				texts = append(texts, p.Text)
			}
			input := appendJoined(nil, texts, "")
			if len(input) == len(`""`) {
				return nil, dialect.Invalid(at, "there is nothing to embed")
			}
			if string(list[i].Dimensions) != string(list[0].Dimensions) {
				return nil, dialect.Invalid(at, "all requests of a batch must ask for the same outputDimensionality with this provider")
			}
			for name, value := range map[string]string{"taskType": list[i].TaskType, "title": list[i].Title} {
				if value != "" && !slices.Contains(ignored, name) {
					ignored = dialect.Ignore(ignored, name)
				}
			}
			inputs = append(inputs, input)
		}
		slices.Sort(ignored)
		out := rawjson.Object{rawjson.T("model", in.Model), rawjson.M("input", rawjson.Array(inputs)), rawjson.T("encoding_format", "float")}
		if d := rawjson.Set(list[0].Dimensions); d != nil {
			out = append(out, rawjson.M("dimensions", d))
		}
		return &dialect.Call{Path: "/embeddings", Body: out.JSON(), Ignored: ignored, Reply: &nativeEmbedReply{batch: batch}}, nil
	}
}

type nativeEmbedReply struct{ batch bool }

// embedded is one embedding of OpenAI's response.
type embedded struct {
	Index     int             `json:"index"`
	Embedding json.RawMessage `json:"embedding"`
}

func (r *nativeEmbedReply) Stream() dialect.Stream { return noStream{nativeError} }

func (r *nativeEmbedReply) Error(status int, header http.Header, body []byte) []byte {
	return nativeError(readError(status, header, body))
}

func (r *nativeEmbedReply) Body(body []byte) ([]byte, error) {
	var a struct {
		Data []embedded `json:"data"`
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
		list = append(list, rawjson.Object{rawjson.M("values", d.Embedding)}.JSON())
	}
	if r.batch {
		return rawjson.Marshal(map[string]json.RawMessage{"embeddings": rawjson.Array(list)})
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Upstream, "the provider's response contains no embedding")
	}
	return rawjson.Marshal(map[string]json.RawMessage{"embedding": list[0]})
}

// noStream returns an error for calls whose response is never a stream.
type noStream struct{ dress func(problem) []byte }

func (noStream) Event(sse.Event, func(sse.Event)) error {
	return fault.New(fault.Upstream, "the provider answered with a stream")
}

func (s noStream) End(cause error, emit func(sse.Event)) error {
	emit(sse.Event{Data: s.dress(broken(cause))})
	return dialect.Incomplete(cause)
}
