package ollama

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// reply translates chat completions into Ollama's responses.
type reply struct {
	options  Options
	model    string // as the client named it
	generate bool
	silent   bool
	start    time.Time
}

// completion is a chat completion, or a chunk of one.
type completion struct {
	Choices []struct {
		Index        int             `json:"index"`
		Message      chatMessage     `json:"message"`
		Delta        chatMessage     `json:"delta"`
		Logprobs     json.RawMessage `json:"logprobs"`
		FinishReason string          `json:"finish_reason"`
	} `json:"choices"`
	Usage *usage          `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
}

// chatMessage is a message or a delta. Texts stay JSON, because they are copied
// unchanged.
type chatMessage struct {
	openai.MessageText
	dialect.Pictured
	Refusal   json.RawMessage `json:"refusal"`
	ToolCalls []struct {
		Index    *int   `json:"index"`
		ID       string `json:"id"`
		Function struct {
			Name      string          `json:"name"`
			Arguments jsonscan.String `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// partialCall is a tool call that is assembled from pieces.
type partialCall struct {
	id, name  string
	arguments []byte // joined JSON strings without their quotes
}

func (r *reply) Stream() dialect.Stream { return &stream{reply: r} }

func (r *reply) Error(status int, _ http.Header, body []byte) []byte {
	return errorBody(messageOf(status, body))
}

func (r *reply) Body(body []byte) ([]byte, error) {
	var c completion
	if err := jsonscan.Decode(body, &c); err != nil {
		return nil, &fault.Error{Kind: fault.Upstream, Message: "the provider's response is not a chat completion", Err: err}
	}
	if len(c.Choices) == 0 {
		return nil, fault.New(fault.Upstream, "the provider's response has no choices")
	}
	choice := &c.Choices[0]
	var calls partialCalls
	if err := calls.add(&choice.Message); err != nil {
		return nil, err
	}
	toolCalls, err := appendCalls(nil, calls.list)
	if err != nil {
		return nil, err
	}
	content := choice.Message.content()
	b := r.open(nil)
	b = r.payload(b, payload{content, r.thinking(&choice.Message), toolCalls, choice.Message.Images})
	b = appendLogprobs(b, choice.Logprobs)
	return r.close(b, choice.FinishReason, c.Usage, r.options.Now()), nil
}

// content returns the text, or else the refusal, or nil.
func (s *chatMessage) content() json.RawMessage {
	if text := s.Text(); text != nil {
		return text
	}
	if len(s.Refusal) > 2 && s.Refusal[0] == '"' {
		return s.Refusal
	}
	return nil
}

func (r *reply) thinking(s *chatMessage) json.RawMessage {
	if r.silent {
		return nil
	}
	return s.Thought()
}

// open writes the members that begin every object.
func (r *reply) open(b []byte) []byte {
	b = jsonscan.AppendQuote(append(b, `{"model":`...), r.model)
	b = append(b, `,"created_at":"`...)
	b = r.options.Now().UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	return append(b, '"')
}

// payload is the part of a response that an object contains. nil members are left
// out.
type payload struct {
	content, thinking, calls json.RawMessage
	images                   []dialect.Picture
}

// payload writes text, thinking, calls and images in the endpoint's format.
func (r *reply) payload(b []byte, p payload) []byte {
	content, thinking, calls := p.content, p.thinking, p.calls
	if content == nil {
		content = json.RawMessage(`""`)
	}
	if r.generate {
		b = append(append(b, `,"response":`...), content...)
		if thinking != nil {
			b = append(append(b, `,"thinking":`...), thinking...)
		}
		if calls != nil {
			b = append(append(b, `,"tool_calls":`...), calls...)
		}
		return appendPictures(b, "image", p.images)
	}
	b = append(append(b, `,"message":{"role":"assistant","content":`...), content...)
	if thinking != nil {
		b = append(append(b, `,"thinking":`...), thinking...)
	}
	if calls != nil {
		b = append(append(b, `,"tool_calls":`...), calls...)
	}
	return append(appendPictures(b, "images", p.images), '}')
}

// appendPictures writes images as plain base64: images of a message, or the image
// of a generated response, which has only one.
func appendPictures(b []byte, name string, list []dialect.Picture) []byte {
	n := 0
	for i := range list {
		_, data, ok := dialect.DataURL(list[i].URL())
		if !ok || n > 0 && name == "image" {
			continue
		}
		switch {
		case name == "image":
			b = append(b, `,"image":`...)
		case n == 0:
			b = append(b, `,"images":[`...)
		default:
			b = append(b, ',')
		}
		b = append(b, data...)
		n++
	}
	if n > 0 && name != "image" {
		b = append(b, ']')
	}
	return b
}

// close writes the end of the last object. Durations are in nanoseconds. Those that
// clients divide by are never 0. The provider's own durations are not known.
func (r *reply) close(b []byte, reason string, u *usage, first time.Time) []byte {
	now := r.options.Now()
	if first.IsZero() || first.Before(r.start) {
		first = now
	}
	b = jsonscan.AppendQuote(append(b, `,"done_reason":`...), doneReason(reason))
	b = append(b, `,"done":true`...)
	number := func(name string, n int64) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendInt(b, n, 10)
	}
	number("total_duration", max(1, int64(now.Sub(r.start))))
	number("load_duration", 0)
	if u == nil {
		u = &usage{}
	}
	number("prompt_eval_count", int64(u.Prompt))
	number("prompt_eval_duration", max(1, int64(first.Sub(r.start))))
	number("eval_count", int64(u.Completion))
	number("eval_duration", max(1, int64(now.Sub(first))))
	if r.generate {
		b = append(b, `,"context":[]`...) // clients read it, but there are no tokens to return
	}
	return append(b, '}')
}

func doneReason(reason string) string {
	switch reason {
	case "length", "content_filter":
		return reason
	}
	return "stop"
}

// maxCalls is the maximum size, in bytes, of the call arguments that are collected.
const maxCalls = 16 << 20

// partialCalls are the tool calls of a response, assembled from pieces.
type partialCalls struct {
	numbering openai.Numbering
	list      []partialCall
}

// add adds the pieces of calls in a message or delta.
func (p *partialCalls) add(m *chatMessage) error {
	for i := range m.ToolCalls {
		in := &m.ToolCalls[i]
		k := p.numbering.Place(in.Index, in.ID, in.Function.Name)
		if k == len(p.list) {
			p.list = append(p.list, partialCall{})
		}
		c := &p.list[k]
		if in.ID != "" {
			c.id = in.ID
		}
		if c.name == "" {
			c.name = in.Function.Name
		}
		if args := in.Function.Arguments; !args.Empty() {
			c.arguments = append(c.arguments, args[1:len(args)-1]...)
		}
		if len(c.arguments) > maxCalls {
			return fault.New(fault.Upstream, "the provider's tool call is too large")
		}
	}
	return nil
}

// object returns the arguments as an object. ok is false if they are not one.
func (c *partialCall) object() (args json.RawMessage, ok bool) {
	raw := jsonscan.String(append(append(append(make([]byte, 0, len(c.arguments)+2), '"'), c.arguments...), '"'))
	if raw.Blank() {
		return json.RawMessage("{}"), true
	}
	text, _ := jsonscan.Unquote(raw)
	return text, rawjson.IsObject(text) && jsonscan.Valid(text)
}

// appendCalls appends complete calls with their arguments as objects. It returns nil
// if there are none.
func appendCalls(b []byte, calls []partialCall) (json.RawMessage, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	b = append(b, '[')
	for i := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		c := &calls[i]
		args, ok := c.object()
		if !ok || c.name == "" {
			return nil, fault.New(fault.Upstream, "the model called a tool with arguments that are not a JSON object")
		}
		b = append(b, '{')
		if c.id != "" {
			b = append(jsonscan.AppendQuote(append(b, `"id":`...), c.id), ',')
		}
		b = append(b, `"function":{"index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = jsonscan.AppendQuote(append(b, `,"name":`...), c.name)
		b = append(jsonscan.AppendCompact(append(b, `,"arguments":`...), args), "}}"...)
	}
	return append(b, ']'), nil
}

// appendLogprobs passes on the list, which Ollama has in the same form.
func appendLogprobs(b []byte, raw json.RawMessage) []byte {
	var l struct {
		Content json.RawMessage `json:"content"`
	}
	if !rawjson.IsObject(raw) || jsonscan.Decode(raw, &l) != nil {
		return b
	}
	if _, ok := rawjson.Elements(l.Content); !ok {
		return b
	}
	return append(append(b, `,"logprobs":`...), rawjson.Compact(l.Content)...)
}
