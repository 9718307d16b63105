package ollama

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// converter gathers one chat request.
type converter struct {
	req      *request
	messages []json.RawMessage
	ignored  []string
	silent   bool // the caller wants no thinking
	open     []pending
}

// pending is a call whose result is to come.
type pending struct{ id, name string }

func (c *converter) ignore(name string) {
	c.ignored = dialect.Ignore(c.ignored, name)
}

func (c *converter) translate(in dialect.Request, generate bool) (*openai.Request, error) {
	out := &openai.Request{Model: in.Model, Stream: c.req.Stream == nil || *c.req.Stream}
	if out.Stream {
		out.StreamOptions = json.RawMessage(`{"include_usage":true}`)
	}
	if c.req.Logprobs {
		out.Logprobs = true
		if top := rawjson.Set(c.req.TopLogprobs); string(top) != "0" {
			out.TopLogprobs = top
		}
	}
	gather := c.chat
	if generate {
		gather = c.generate
	}
	for _, step := range []func(*openai.Request) error{gather, c.format, c.options, c.think} {
		if err := step(out); err != nil {
			return nil, err
		}
	}
	out.Messages = c.messages
	return out, nil
}

func (c *converter) message(role string, content json.RawMessage, more ...rawjson.Member) {
	c.messages = append(c.messages, rawjson.Object(append(rawjson.Object{rawjson.T("role", role), rawjson.M("content", content)}, more...)).JSON())
}

// generate makes the messages of /api/generate.
func (c *converter) generate(*openai.Request) error {
	switch {
	case c.req.Suffix != "":
		return dialect.Invalid("suffix", "filling in before a suffix cannot be done with this provider")
	case c.req.Raw:
		return dialect.Invalid("raw", "a raw prompt cannot be used with this provider: it has its own template")
	case c.req.Template != "":
		return dialect.Invalid("template", "a template cannot be used with this provider: it has its own")
	case len(c.req.Context) > 0:
		return dialect.Invalid("context", "a context of tokens cannot be used with this provider; send the conversation to /api/chat")
	case c.req.Prompt == "" && len(c.req.Images) == 0:
		return dialect.Invalid("prompt", "prompt is missing")
	}
	if c.req.System != "" {
		c.message("system", rawjson.Quote(c.req.System))
	}
	return c.user(c.req.Prompt, c.req.Images, "images")
}

type message struct {
	Role       string   `json:"role"`
	Content    string   `json:"content"`
	Thinking   string   `json:"thinking"`
	Images     []string `json:"images"`
	ToolName   string   `json:"tool_name"`
	Name       string   `json:"name"`
	ToolCallID string   `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string `json:"id"`
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// chat makes the messages and tools of /api/chat.
func (c *converter) chat(out *openai.Request) error {
	if len(c.req.Messages) == 0 {
		return dialect.Invalid("messages", "messages must be a list of at least one message")
	}
	for i, raw := range c.req.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return dialect.Invalid(at, at+" is not a message: "+dialect.Why(err))
		}
		var err error
		switch m.Role {
		case "system":
			c.message("system", rawjson.Quote(m.Content))
		case "user":
			err = c.user(m.Content, m.Images, at+".images")
		case "assistant":
			err = c.assistant(&m, i, at)
		case "tool":
			err = c.tool(&m, at)
		default:
			err = dialect.Invalid(at+".role", fmt.Sprintf("role %q is not known; use system, user, assistant or tool", m.Role))
		}
		if err != nil {
			return err
		}
	}
	for i, raw := range c.req.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		tool, ok := rawjson.Members(raw)
		if !ok {
			return dialect.Invalid(at, at+" is not a tool")
		}
		if k := slices.IndexFunc(tool, func(m rawjson.Member) bool { return m.Name == "type" }); k >= 0 && string(tool[k].Value) != `"function"` {
			return dialect.Invalid(at+".type", "only tools of type function can be used")
		}
		k := slices.IndexFunc(tool, func(m rawjson.Member) bool { return m.Name == "function" })
		if k < 0 || !rawjson.IsObject(tool[k].Value) {
			return dialect.Invalid(at+".function", "a tool needs a function")
		}
		out.Tools = append(out.Tools, rawjson.Object{rawjson.T("type", "function"), tool[k]}.JSON())
	}
	return nil
}

func (c *converter) user(said string, images []string, at string) error {
	if len(images) == 0 {
		c.message("user", rawjson.Quote(said))
		return nil
	}
	var parts []json.RawMessage
	if said != "" {
		parts = append(parts, rawjson.Object{rawjson.T("type", "text"), rawjson.T("text", said)}.JSON())
	}
	for i, image := range images {
		uri, err := dataURL(image, fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return err
		}
		parts = append(parts, rawjson.Object{rawjson.T("type", "image_url"), rawjson.M("image_url", rawjson.Object{rawjson.T("url", uri)}.JSON())}.JSON())
	}
	c.message("user", rawjson.Array(parts))
	return nil
}

// dataURL tells an image's type by its first bytes.
func dataURL(image, at string) (string, error) {
	if strings.HasPrefix(image, "data:image/") {
		return image, nil
	}
	head := image[:min(len(image), 684)] // 512 bytes and a bit, as base64
	head = strings.TrimRight(head[:len(head)/4*4], "=")
	data, err := base64.RawStdEncoding.DecodeString(head)
	if err != nil || len(data) == 0 {
		return "", dialect.Invalid(at, "the image is not base64")
	}
	mime := http.DetectContentType(data)
	if !strings.HasPrefix(mime, "image/") {
		return "", dialect.Invalid(at, "the image is of no known type; use PNG, JPEG, GIF or WebP")
	}
	return "data:" + mime + ";base64," + image, nil
}

func (c *converter) assistant(m *message, turn int, at string) error {
	c.open = nil
	var calls []json.RawMessage
	for i, call := range m.ToolCalls {
		at := fmt.Sprintf("%s.tool_calls[%d].function", at, i)
		if call.Function.Name == "" {
			return dialect.Invalid(at+".name", "a tool call needs a function's name")
		}
		args := "{}"
		if raw := rawjson.Set(call.Function.Arguments); raw != nil {
			if s, ok := rawjson.Text(raw); ok {
				raw = json.RawMessage(s) // some clients send the text of an object
			}
			if !rawjson.IsObject(raw) || !json.Valid(raw) {
				return dialect.Invalid(at+".arguments", "a tool call's arguments must be an object")
			}
			args = string(rawjson.Compact(raw))
		}
		// Without an id, its place: the same each time the conversation comes again.
		id := call.ID
		if id == "" {
			id = fmt.Sprintf("call_%d_%d", turn, i)
		}
		c.open = append(c.open, pending{id, call.Function.Name})
		calls = append(calls, rawjson.Object{
			rawjson.T("id", id), rawjson.T("type", "function"),
			rawjson.M("function", rawjson.Object{rawjson.T("name", call.Function.Name), rawjson.T("arguments", args)}.JSON()),
		}.JSON())
	}
	var more rawjson.Object
	content := rawjson.Quote(m.Content)
	if m.Thinking != "" {
		more = append(more, rawjson.T("reasoning_content", m.Thinking))
	}
	if len(calls) > 0 {
		more = append(more, rawjson.M("tool_calls", rawjson.Array(calls)))
		if m.Content == "" {
			content = json.RawMessage("null")
		}
	}
	c.message("assistant", content, more...)
	return nil
}

// tool finds the call that a result answers: by id, by name, else the next one.
func (c *converter) tool(m *message, at string) error {
	name := m.ToolName
	if name == "" {
		name = m.Name
	}
	i := slices.IndexFunc(c.open, func(p pending) bool {
		if m.ToolCallID != "" {
			return p.id == m.ToolCallID
		}
		return name == "" || p.name == name
	})
	if i < 0 {
		return dialect.Invalid(at, "this tool message answers no tool call before it")
	}
	id := c.open[i].id
	c.open = slices.Delete(c.open, i, i+1)
	c.message("tool", rawjson.Quote(m.Content), rawjson.T("tool_call_id", id))
	return nil
}

func (c *converter) format(out *openai.Request) error {
	raw := rawjson.Set(c.req.Format)
	if raw == nil {
		return nil
	}
	if s, ok := rawjson.Text(raw); ok {
		switch s {
		case "":
			return nil
		case "json":
			out.ResponseFormat = json.RawMessage(`{"type":"json_object"}`)
			return nil
		}
	}
	if !rawjson.IsObject(raw) {
		return dialect.Invalid("format", `format must be "json" or a JSON schema`)
	}
	out.ResponseFormat = rawjson.Object{
		rawjson.T("type", "json_schema"),
		rawjson.M("json_schema", rawjson.Object{rawjson.T("name", "response"), rawjson.M("schema", raw)}.JSON()),
	}.JSON()
	return nil
}

func (c *converter) options(out *openai.Request) error {
	raw := rawjson.Set(c.req.Options)
	if raw == nil {
		return nil
	}
	list, ok := rawjson.Members(raw)
	if !ok {
		return dialect.Invalid("options", "options must be an object")
	}
	fields := map[string]*json.RawMessage{
		"temperature": &out.Temperature, "top_p": &out.TopP, "seed": &out.Seed,
		"presence_penalty": &out.PresencePenalty, "frequency_penalty": &out.FrequencyPenalty,
	}
	for _, m := range list {
		if rawjson.Set(m.Value) == nil {
			continue
		}
		switch field := fields[m.Name]; {
		case field != nil:
			*field = m.Value
		case m.Name == "num_predict":
			// Negative ones ask for as much as there is.
			if m.Value[0] != '-' {
				out.MaxCompletionTokens = m.Value
			}
		case m.Name == "stop":
			if s, ok := rawjson.Text(m.Value); ok && s != "" {
				out.Stop = rawjson.Array([]json.RawMessage{m.Value})
			} else if list, ok := rawjson.Elements(m.Value); ok && len(list) > 0 {
				out.Stop = m.Value
			} else if !ok && s != "" {
				return dialect.Invalid("options.stop", "stop must be a list of strings")
			}
		default:
			c.ignore("options." + m.Name)
		}
	}
	return nil
}

func (c *converter) think(out *openai.Request) error {
	raw := rawjson.Set(c.req.Think)
	switch word, isText := rawjson.Text(raw); {
	case raw == nil:
	case string(raw) == "true":
		out.ReasoningEffort = "medium"
	case string(raw) == "false":
		// Models that do not think refuse to be told not to.
		c.silent = true
		c.ignore("think")
	case isText && slices.Contains([]string{"low", "medium", "high"}, word):
		out.ReasoningEffort = word
	default:
		return dialect.Invalid("think", "think must be true, false, low, medium or high")
	}
	return nil
}
