package responses

import (
	"fmt"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

type chatMessage struct {
	Role         string          `json:"role"`
	Content      jsonscan.Value  `json:"content"`
	Refusal      jsonscan.String `json:"refusal"`
	Name         string          `json:"name"` // of a function, in the older form
	ToolCallID   string          `json:"tool_call_id"`
	ToolCalls    []chatCall      `json:"tool_calls"`
	FunctionCall *chatCalled     `json:"function_call"`
	Details      jsonscan.Value  `json:"reasoning_details"`
}

type chatCall struct {
	ID       string     `json:"id"`
	Type     string     `json:"type"`
	Function chatCalled `json:"function"`
	Custom   struct {
		Name  string          `json:"name"`
		Input jsonscan.String `json:"input"`
	} `json:"custom"`
}

type chatCalled struct {
	Name      string          `json:"name"`
	Arguments jsonscan.String `json:"arguments"`
}

type chatPart struct {
	Type     string          `json:"type"`
	Text     jsonscan.String `json:"text"`
	Refusal  jsonscan.String `json:"refusal"`
	ImageURL jsonscan.Value  `json:"image_url"`
	File     struct {
		FileData jsonscan.String `json:"file_data"`
		FileID   jsonscan.String `json:"file_id"`
		FileURL  jsonscan.String `json:"file_url"`
		Filename jsonscan.String `json:"filename"`
	} `json:"file"`
	Audio jsonscan.Value `json:"input_audio"`
}

func (t *fromChat) add(item jsonscan.Value) { t.input = append(t.input, item) }

func (t *fromChat) message(m *chatMessage, at string) error {
	switch m.Role {
	case "system", "developer", "user":
		content, err := t.content(m.Content, at+".content", "input_text")
		if err != nil {
			return err
		}
		t.add(jsonscan.Obj(member("type", jsonscan.Lit(`"message"`)), member("role", jsonscan.Quoted(m.Role)), member("content", content)))
		return nil
	case "assistant":
		return t.assistant(m, at)
	case "tool", "function":
		return t.result(m, at)
	}
	return dialect.Invalid(at+".role", fmt.Sprintf("role must be system, developer, user, assistant or tool, not %q", m.Role))
}

// content translates a message's content. A string stays a string.
func (t *fromChat) content(v jsonscan.Value, at, text string) (jsonscan.Value, error) {
	if s, ok := textOf(v); ok {
		return s, nil
	}
	if v.Absent() {
		return jsonscan.Lit(`""`), nil
	}
	var parts []chatPart
	if v.Kind() != '[' || v.Decode(&parts) != nil {
		return v, dialect.Invalid(at, "content must be a string or a list of parts")
	}
	out := make([]jsonscan.Value, 0, len(parts))
	for i := range parts {
		p, err := contentPart(&parts[i], fmt.Sprintf("%s[%d]", at, i), text)
		if err != nil {
			return v, err
		}
		out = append(out, p)
	}
	return jsonscan.Arr(out), nil
}

func contentPart(p *chatPart, at, text string) (jsonscan.Value, error) {
	switch p.Type {
	case "text", "input_text", "output_text":
		return jsonscan.Obj(member("type", jsonscan.Quoted(text)), member("text", orEmpty(p.Text))), nil
	case "refusal":
		return jsonscan.Obj(member("type", jsonscan.Lit(`"refusal"`)), member("refusal", orEmpty(p.Refusal))), nil
	case "image_url":
		url, detail := p.ImageURL, jsonscan.Value{}
		if url.Kind() == '{' {
			url, detail = p.ImageURL.Get("url"), p.ImageURL.Get("detail")
		}
		o := jsonscan.Obj(member("type", jsonscan.Lit(`"input_image"`)), member("image_url", url))
		put(&o, "detail", detail)
		return o, nil
	case "file":
		return jsonscan.Obj(member("type", jsonscan.Lit(`"input_file"`)), filled("filename", p.File.Filename), filled("file_data", p.File.FileData),
			filled("file_id", p.File.FileID), filled("file_url", p.File.FileURL)), nil
	case "input_audio":
		return jsonscan.Obj(member("type", jsonscan.Lit(`"input_audio"`)), member("input_audio", p.Audio.Compact())), nil
	}
	return jsonscan.Value{}, dialect.Invalid(at+".type", fmt.Sprintf("content parts of type %q cannot be used with this model", p.Type))
}

// assistant adds the items of a turn of the model, with each piece of reasoning
// right before what it led to.
func (t *fromChat) assistant(m *chatMessage, at string) error {
	before := t.replay(m)
	for _, item := range before[""] {
		t.add(item)
	}
	content, err := t.content(m.Content, at+".content", "output_text")
	if err != nil {
		return err
	}
	switch s := content.String(); {
	case s != nil && !s.Empty(), content.Kind() == '[':
		t.add(jsonscan.Obj(member("type", jsonscan.Lit(`"message"`)), member("role", jsonscan.Lit(`"assistant"`)), member("content", content)))
	case !m.Refusal.Empty():
		refusal := jsonscan.Obj(member("type", jsonscan.Lit(`"refusal"`)), member("refusal", jsonscan.Str(m.Refusal)))
		t.add(jsonscan.Obj(member("type", jsonscan.Lit(`"message"`)), member("role", jsonscan.Lit(`"assistant"`)), member("content", jsonscan.Arr([]jsonscan.Value{refusal}))))
	}
	calls := m.ToolCalls
	if m.FunctionCall != nil && len(calls) == 0 {
		calls = []chatCall{{ID: "call_" + m.FunctionCall.Name, Function: *m.FunctionCall}}
	}
	for i := range calls {
		c := &calls[i]
		for _, item := range before[c.ID] {
			t.add(item)
		}
		if c.Type == "custom" {
			t.add(jsonscan.Obj(member("type", jsonscan.Lit(`"custom_tool_call"`)), member("call_id", jsonscan.Quoted(c.ID)), member("name", jsonscan.Quoted(c.Custom.Name)), member("input", orEmpty(c.Custom.Input))))
			continue
		}
		arguments := c.Function.Arguments
		if arguments.Blank() {
			arguments = jsonscan.String(`"{}"`)
		}
		t.add(jsonscan.Obj(member("type", jsonscan.Lit(`"function_call"`)), member("call_id", jsonscan.Quoted(c.ID)), member("name", jsonscan.Quoted(c.Function.Name)), member("arguments", jsonscan.Str(arguments))))
	}
	return nil
}

// replay returns the encrypted reasoning of a turn by the call that follows it.
// Reasoning before the text, or before a call that is missing, is under "".
// Reasoning of other providers is left out, because this one cannot read it. If the
// client sent none back, it is recalled.
func (t *fromChat) replay(m *chatMessage) map[string][]jsonscan.Value {
	if t.options.Plain {
		return nil
	}
	var found map[string][]jsonscan.Value
	add := func(before, data string) {
		if t.options.Skip != nil && t.options.Skip(data) {
			return
		}
		if found == nil {
			found = map[string][]jsonscan.Value{}
		}
		found[before] = append(found[before], jsonscan.Obj(member("type", jsonscan.Lit(`"reasoning"`)), member("summary", jsonscan.Lit("[]")), member("encrypted_content", jsonscan.Quoted(data))))
	}
	there := map[string]bool{}
	for i := range m.ToolCalls {
		there[m.ToolCalls[i].ID] = true
	}
	for _, detail := range m.Details.Elements() {
		e, ok := openai.EncryptedOf(detail)
		if !ok || e.Provider != t.in.Provider {
			continue
		}
		if !there[e.Before] {
			e.Before = ""
		}
		add(e.Before, e.Data)
	}
	if found == nil && t.options.Recall != nil {
		for i := range m.ToolCalls {
			if data := t.options.Recall.Get(t.in.Provider + " " + m.ToolCalls[i].ID); data != "" {
				add(m.ToolCalls[i].ID, data)
			}
		}
	}
	return found
}

// result adds the result of a tool.
func (t *fromChat) result(m *chatMessage, at string) error {
	id := m.ToolCallID
	if m.Role == "function" {
		id = "call_" + m.Name
	}
	output, err := t.content(m.Content, at+".content", "input_text")
	if err != nil {
		return err
	}
	kind := `"function_call_output"`
	for i := len(t.input) - 1; i >= 0; i-- {
		if item := t.input[i]; item.Get("call_id").String().Text() == id && item.Get("type").Is(`"custom_tool_call"`) {
			kind = `"custom_tool_call_output"`
			break
		}
	}
	t.add(jsonscan.Obj(member("type", jsonscan.Lit(kind)), member("call_id", jsonscan.Quoted(id)), member("output", output)))
	return nil
}
