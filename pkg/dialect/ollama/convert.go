package ollama

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// converter is the state of the translation of one request. Its values are spans of
// the client's body.
type converter struct {
	req      request
	provider string
	model    string
	messages []jsonscan.Value
	tools    []jsonscan.Value
	ignored  []string
	silent   bool // the client wants no thinking in the response
	calls    []openCall
}

// openCall is a call that has no result yet.
type openCall struct{ id, name string }

func (c *converter) ignore(name string) {
	c.ignored = dialect.Ignore(c.ignored, name)
}

// stream reports whether the client asked for a stream, which is the default.
func (c *converter) stream() bool { return c.req.Stream == nil || *c.req.Stream }

func (c *converter) translate(in dialect.Request, generate bool) (out jsonscan.Value, err error) {
	gather := c.chat
	if generate {
		gather = c.generate
	}
	if err := gather(); err != nil {
		return out, err
	}
	out.PutText("model", in.Model)
	out.Put("messages", jsonscan.Arr(c.messages))
	if len(c.tools) > 0 {
		out.Put("tools", jsonscan.Arr(c.tools))
	}
	if err := c.options(&out); err != nil {
		return out, err
	}
	if c.req.Logprobs {
		out.Put("logprobs", jsonscan.Lit("true"))
		if top := rawjson.Set(c.req.TopLogprobs); string(top) != "0" {
			out.Put("top_logprobs", jsonscan.Raw(top))
		}
	}
	for _, step := range []func(*jsonscan.Value) error{c.format, c.think} {
		if err := step(&out); err != nil {
			return out, err
		}
	}
	if c.stream() {
		out.Put("stream", jsonscan.Lit("true"))
		out.Put("stream_options", jsonscan.Lit(`{"include_usage":true}`))
	}
	return out, nil
}

// member returns a member of an object to be written.
func member(name string, value jsonscan.Value) jsonscan.Field {
	return jsonscan.Field{Name: name, Value: value}
}

func (c *converter) message(role string, content jsonscan.Value, more ...jsonscan.Field) {
	fields := append(make([]jsonscan.Field, 0, 2+len(more)), member("role", jsonscan.Quoted(role)), member("content", content))
	c.messages = append(c.messages, jsonscan.Obj(append(fields, more...)...))
}

// str returns a string of the client's request, or "" if there is none.
func str(s jsonscan.String) jsonscan.Value {
	if s == nil {
		return jsonscan.Lit(`""`)
	}
	return jsonscan.Str(s)
}

// generate translates the prompt of /api/generate into messages.
func (c *converter) generate() error {
	switch {
	case c.req.Suffix != "":
		return dialect.Invalid("suffix", "suffix cannot be used with this provider: it does not complete text before a suffix")
	case c.req.Raw:
		return dialect.Invalid("raw", "a raw prompt cannot be used with this provider: it has its own template")
	case c.req.Template != "":
		return dialect.Invalid("template", "a template cannot be used with this provider: it has its own")
	case len(c.req.Context) > 0:
		return dialect.Invalid("context", "context cannot be used with this provider: send the conversation to /api/chat")
	case c.req.Prompt.Empty() && len(c.req.Images) == 0:
		return dialect.Invalid("prompt", "prompt is missing")
	}
	if !c.req.System.Empty() {
		c.message("system", jsonscan.Str(c.req.System))
	}
	return c.user(c.req.Prompt, c.req.Images, "images")
}

type message struct {
	Role       string            `json:"role"`
	Content    jsonscan.String   `json:"content"`
	Thinking   jsonscan.String   `json:"thinking"`
	Images     []jsonscan.String `json:"images"`
	ToolName   string            `json:"tool_name"`
	Name       string            `json:"name"`
	ToolCallID string            `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string `json:"id"`
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// chat translates the messages and tools of /api/chat.
func (c *converter) chat() error {
	if len(c.req.Messages) == 0 {
		return dialect.Invalid("messages", "messages must be a list of at least one message")
	}
	for i, raw := range c.req.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		var m message
		if err := jsonscan.Decode(raw, &m); err != nil {
			return dialect.Invalid(at, at+" is not a message: "+dialect.Why(err))
		}
		var err error
		if m.Role != "tool" {
			c.interrupted()
		}
		switch m.Role {
		case "system":
			c.message("system", str(m.Content))
		case "user":
			err = c.user(m.Content, m.Images, at+".images")
		case "assistant":
			err = c.assistant(&m, i, at)
		case "tool":
			c.tool(&m)
		default:
			err = dialect.Invalid(at+".role", fmt.Sprintf("role %q is unknown: use system, user, assistant or tool", m.Role))
		}
		if err != nil {
			return err
		}
	}
	c.interrupted()
	for i, raw := range c.req.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if !rawjson.IsObject(raw) {
			return dialect.Invalid(at, at+" is not a tool")
		}
		tool := jsonscan.Raw(raw)
		if kind := tool.Get("type"); !kind.Absent() && !kind.Is(`"function"`) {
			return dialect.Invalid(at+".type", "only tools of type function can be used")
		}
		function := tool.Get("function")
		if function.Kind() != '{' {
			return dialect.Invalid(at+".function", "a tool needs a function")
		}
		c.tools = append(c.tools, jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", function)))
	}
	return nil
}

func (c *converter) user(text jsonscan.String, images []jsonscan.String, at string) error {
	if len(images) == 0 {
		c.message("user", str(text))
		return nil
	}
	var parts []jsonscan.Value
	if !text.Empty() {
		parts = append(parts, jsonscan.Obj(member("type", jsonscan.Lit(`"text"`)), member("text", jsonscan.Str(text))))
	}
	for i, image := range images {
		uri, err := dataURL(image, fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return err
		}
		parts = append(parts, jsonscan.Obj(member("type", jsonscan.Lit(`"image_url"`)), member("image_url", jsonscan.Obj(member("url", uri)))))
	}
	c.message("user", jsonscan.Arr(parts))
	return nil
}

// dataURL returns a data: URL for an image. The type is detected from its first
// bytes.
func dataURL(image jsonscan.String, at string) (v jsonscan.Value, err error) {
	if bytes.HasPrefix(image, []byte(`"data:image/`)) {
		return jsonscan.Str(image), nil
	}
	head := ""
	if !image.Empty() {
		inner := image[1 : len(image)-1]
		head = jsonscan.String(append(append([]byte{'"'}, inner[:whole(inner, 1024)]...), '"')).Text()
	}
	head = head[:min(len(head), 684)] // at least 512 bytes in base64
	head = strings.TrimRight(head[:len(head)/4*4], "=")
	data, err := base64.RawStdEncoding.DecodeString(head)
	if err != nil || len(data) == 0 {
		return v, dialect.Invalid(at, "the image is not base64")
	}
	mime := http.DetectContentType(data)
	if !strings.HasPrefix(mime, "image/") {
		return v, dialect.Invalid(at, "the image has an unknown type: use PNG, JPEG, GIF or WebP")
	}
	b := append(make([]byte, 0, len(image)+len(mime)+16), `"data:`...)
	b = append(append(b, mime...), ";base64,"...)
	return jsonscan.Raw(append(jsonscan.AppendInner(b, image), '"')), nil
}

// whole returns the largest length, up to n, at which inner, the content of a JSON
// string, can be cut without splitting an escape.
func whole(inner []byte, n int) int {
	if len(inner) <= n {
		return len(inner)
	}
	if i := bytes.IndexByte(inner[n-6:n], '\\'); i >= 0 {
		return n - 6
	}
	return n
}

func (c *converter) assistant(m *message, turn int, at string) error {
	c.calls = nil
	var calls []jsonscan.Value
	for i, call := range m.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d].function", at, i)
		if call.Function.Name == "" {
			return dialect.Invalid(at+".name", "a tool call needs a function's name")
		}
		args := json.RawMessage("{}")
		if raw := rawjson.Set(call.Function.Arguments); raw != nil {
			given := raw
			if text, ok := jsonscan.Unquote(raw); ok {
				raw = text // some clients send the text of an object
			}
			if args = raw; !rawjson.IsObject(raw) || !jsonscan.Valid(raw) {
				// A call that was cut off stays in the history, so that the session
				// can continue.
				args = append(append([]byte(`{"invalid_arguments":`), given...), '}')
				c.ignore("messages.tool_calls.arguments")
			}
		}
		// A call without an id gets one from its position, so that it is the same
		// in every later request.
		id := call.ID
		if id == "" {
			id = fmt.Sprintf("call_%d_%d", turn, i)
		}
		c.calls = append(c.calls, openCall{id, call.Function.Name})
		calls = append(calls, jsonscan.Obj(
			member("id", jsonscan.Quoted(id)), member("type", jsonscan.Lit(`"function"`)),
			member("function", jsonscan.Obj(member("name", jsonscan.Quoted(call.Function.Name)), member("arguments", jsonscan.Raw(jsonscan.AppendCompactQuoted(nil, args))))),
		))
	}
	var more []jsonscan.Field
	content := str(m.Content)
	if !m.Thinking.Empty() {
		more = append(more, member("reasoning_content", jsonscan.Str(m.Thinking)))
	}
	if len(calls) > 0 {
		more = append(more, member("tool_calls", jsonscan.Arr(calls)))
		if m.Content.Empty() {
			content = jsonscan.Lit("null")
		}
	}
	c.message("assistant", content, more...)
	return nil
}

// interrupted adds results for the calls that have none in the history because
// their user stopped them: chat completions require one for each call.
func (c *converter) interrupted() {
	for _, call := range c.calls {
		c.message("tool", jsonscan.Lit(`"no result: the call was interrupted"`), member("tool_call_id", jsonscan.Quoted(call.id)))
		c.ignore("messages.tool_calls")
	}
	c.calls = nil
}

// tool adds the result of a tool. It finds the call by id, by name, or else takes
// the next one. A result without a call becomes text of the user.
func (c *converter) tool(m *message) {
	name := m.ToolName
	if name == "" {
		name = m.Name
	}
	i := slices.IndexFunc(c.calls, func(p openCall) bool {
		if m.ToolCallID != "" {
			return p.id == m.ToolCallID
		}
		return name == "" || p.name == name
	})
	if i < 0 {
		c.interrupted()
		c.message("user", str(m.Content))
		c.ignore("messages.tool_call_id")
		return
	}
	id := c.calls[i].id
	c.calls = slices.Delete(c.calls, i, i+1)
	c.message("tool", str(m.Content), member("tool_call_id", jsonscan.Quoted(id)))
}

// mentionJSON adds an instruction if no message contains the word JSON, because
// OpenAI's JSON mode requires it.
func (c *converter) mentionJSON(out *jsonscan.Value) {
	texts := append(c.req.Messages[:len(c.req.Messages):len(c.req.Messages)], json.RawMessage(c.req.Prompt), json.RawMessage(c.req.System))
	for _, text := range texts {
		if bytes.Contains(bytes.ToLower(text), []byte("json")) {
			return
		}
	}
	instruction := jsonscan.Lit(`{"role":"system","content":"Answer with a JSON object."}`)
	out.Put("messages", jsonscan.Arr(append([]jsonscan.Value{instruction}, c.messages...)))
}

func (c *converter) format(out *jsonscan.Value) error {
	raw := rawjson.Set(c.req.Format)
	if raw == nil {
		return nil
	}
	if s, ok := rawjson.Text(raw); ok {
		switch s {
		case "":
			return nil
		case "json":
			out.Put("response_format", jsonscan.Lit(`{"type":"json_object"}`))
			c.mentionJSON(out)
			return nil
		}
	}
	if !rawjson.IsObject(raw) {
		return dialect.Invalid("format", `format must be "json" or a JSON schema`)
	}
	out.Put("response_format", jsonscan.Obj(
		member("type", jsonscan.Lit(`"json_schema"`)),
		member("json_schema", jsonscan.Obj(member("name", jsonscan.Lit(`"response"`)), member("schema", jsonscan.Raw(raw)))),
	))
	return nil
}

func (c *converter) options(out *jsonscan.Value) error {
	raw := rawjson.Set(c.req.Options)
	if raw == nil {
		return nil
	}
	list, ok := rawjson.Members(raw)
	if !ok {
		return dialect.Invalid("options", "options must be an object")
	}
	given := map[string]json.RawMessage{}
	for _, m := range list {
		if rawjson.Set(m.Value) == nil {
			continue
		}
		switch m.Name {
		case "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty":
			given[m.Name] = m.Value
		case "num_predict":
			// Negative values mean no limit.
			if m.Value[0] != '-' {
				given["max_completion_tokens"] = m.Value
			}
		case "stop":
			if s, ok := rawjson.Text(m.Value); ok && s != "" {
				given["stop"] = rawjson.Array([]json.RawMessage{m.Value})
			} else if list, ok := rawjson.Elements(m.Value); ok && len(list) > 0 {
				given["stop"] = m.Value
			} else if !ok && s != "" {
				return dialect.Invalid("options.stop", "stop must be a list of strings")
			}
		default:
			c.ignore("options." + m.Name)
		}
	}
	for _, name := range []string{"temperature", "top_p", "max_completion_tokens", "stop", "seed", "presence_penalty", "frequency_penalty"} {
		out.Put(name, jsonscan.Raw(given[name]))
	}
	return nil
}

// thinkingOff are the providers whose translations know for which models thinking
// can be switched off.
var thinkingOff = []string{"openai", "anthropic", "google"}

func (c *converter) think(out *jsonscan.Value) error {
	raw := rawjson.Set(c.req.Think)
	switch word, isText := rawjson.Text(raw); {
	case raw == nil:
	case string(raw) == "true":
		out.PutText("reasoning_effort", "medium")
	case string(raw) == "false":
		c.silent = true
		if slices.Contains(thinkingOff, c.provider) || slices.Contains(dialect.EffortsOf(c.provider, c.model).Words(), "none") {
			out.PutText("reasoning_effort", "none")
		} else {
			c.ignore("think") // models that do not think may refuse the field
		}
	case isText:
		effort, known := dialect.Effort(word)
		if !known {
			c.ignore("think")
		}
		if effort != "" {
			out.PutText("reasoning_effort", effort)
		}
	default:
		return dialect.Invalid("think", "think must be true, false, low, medium, high or max")
	}
	return nil
}
