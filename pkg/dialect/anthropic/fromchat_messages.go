package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

type chatMessage struct {
	Role             string          `json:"role"`
	Content          json.RawMessage `json:"content"`
	Name             string          `json:"name"`
	Refusal          string          `json:"refusal"`
	Audio            json.RawMessage `json:"audio"`
	ToolCalls        []chatCall      `json:"tool_calls"`
	FunctionCall     *chatCalled     `json:"function_call"`
	ToolCallID       string          `json:"tool_call_id"`
	ReasoningContent string          `json:"reasoning_content"`
	ReasoningDetails json.RawMessage `json:"reasoning_details"`
	Cache            json.RawMessage `json:"cache_control"`
}

type chatCall struct {
	Index    int             `json:"index"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Function chatCalled      `json:"function"`
	Extra    json.RawMessage `json:"extra_content"`
}

type chatCalled struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type chatPart struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Refusal  string `json:"refusal"`
	ImageURL struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	} `json:"image_url"`
	File struct {
		FileData string `json:"file_data"`
		FileID   string `json:"file_id"`
		Filename string `json:"filename"`
	} `json:"file"`
	Cache json.RawMessage `json:"cache_control"`
}

func (t *fromChat) messages() error {
	t.lastID = map[string]string{}
	for i := range t.req.Messages {
		m := &t.req.Messages[i]
		at := fmt.Sprintf("messages[%d]", i)
		if m.Name != "" && m.Role != "function" && m.Role != "tool" {
			t.ignore("messages.name")
		}
		var err error
		switch m.Role {
		case "system", "developer":
			err = t.systemMessage(m, at)
		case "user":
			var blocks []json.RawMessage
			if blocks, err = t.content(m.Content, at); err == nil {
				mark(blocks, m.Cache)
				t.add("user", nil, blocks)
			}
		case "assistant":
			err = t.assistant(m, at, i == len(t.req.Messages)-1)
		case "tool", "function":
			err = t.result(m, at)
		default:
			err = dialect.Invalid(at+".role", fmt.Sprintf("role must be system, developer, user, assistant or tool, not %q", m.Role))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *fromChat) systemMessage(m *chatMessage, at string) error {
	blocks, err := t.content(m.Content, at)
	if err != nil {
		return err
	}
	for j, b := range blocks {
		if !strings.HasPrefix(string(b), `{"type":"text"`) {
			return dialect.Invalid(fmt.Sprintf("%s.content[%d]", at, j), "instructions can hold text only")
		}
	}
	mark(blocks, m.Cache)
	t.system = append(t.system, blocks...)
	return nil
}

// content makes blocks of a string or of parts; empty text leaves none.
func (t *fromChat) content(raw json.RawMessage, at string) ([]json.RawMessage, error) {
	if rawjson.Set(raw) == nil {
		return nil, nil
	}
	var text string
	if rawjson.IsString(raw) && json.Unmarshal(raw, &text) == nil {
		if blank(text) {
			return nil, nil
		}
		return []json.RawMessage{textBlock(text)}, nil
	}
	var parts []chatPart
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, dialect.Invalid(at+".content", "content must be a string or a list of parts")
	}
	var blocks []json.RawMessage
	for j := range parts {
		block, err := t.part(&parts[j], fmt.Sprintf("%s.content[%d]", at, j))
		if err != nil {
			return nil, err
		}
		if block == nil {
			continue
		}
		blocks = append(blocks, block)
		if t.inResult && rawjson.Set(parts[j].Cache) != nil {
			t.resultCache = parts[j].Cache
			continue
		}
		mark(blocks, parts[j].Cache)
	}
	return blocks, nil
}

func textBlock(text string) json.RawMessage {
	return append(rawjson.AppendString([]byte(`{"type":"text","text":`), text), '}')
}

func (t *fromChat) part(p *chatPart, at string) (json.RawMessage, error) {
	switch p.Type {
	case "text":
		if blank(p.Text) {
			return nil, nil
		}
		return textBlock(p.Text), nil
	case "refusal":
		if blank(p.Refusal) {
			return nil, nil
		}
		return textBlock(p.Refusal), nil
	case "image_url":
		if p.ImageURL.Detail != "" && p.ImageURL.Detail != "auto" {
			t.ignore("image_url.detail")
		}
		return image(p.ImageURL.URL, at+".image_url.url")
	case "file":
		return t.file(p, at+".file")
	case "input_audio":
		return nil, dialect.Invalid(at+".input_audio", "this provider takes no audio")
	}
	return nil, dialect.Invalid(at+".type", fmt.Sprintf("content parts of type %q cannot be used with this provider", p.Type))
}

// image makes an image block of a data: or https: URL.
func image(url, at string) (json.RawMessage, error) {
	if strings.HasPrefix(url, "data:") {
		media, data, ok := dataURL(url)
		if !ok {
			return nil, dialect.Invalid(at, "the image's data URL is not base64")
		}
		return sourceBlock("image", media, data, ""), nil
	}
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return nil, dialect.Invalid(at, "an image must be an https or a base64 data URL")
	}
	return json.RawMessage(`{"type":"image","source":{"type":"url","url":` + string(rawjson.Quote(url)) + `}}`), nil
}

// dataURL takes a base64 data URL apart; the media type is in lower case,
// without parameters, and image/jpg is called by its name.
func dataURL(url string) (media, data string, ok bool) {
	head, data, ok := strings.Cut(strings.TrimPrefix(url, "data:"), ",")
	if !ok || !strings.HasSuffix(strings.ToLower(head), ";base64") || data == "" {
		return "", "", false
	}
	media, _, _ = strings.Cut(strings.ToLower(head), ";")
	if media == "image/jpg" {
		media = "image/jpeg"
	}
	return strings.TrimSpace(media), data, true
}

func sourceBlock(kind, media, data, title string) json.RawMessage {
	b := make([]byte, 0, len(data)+len(title)+128)
	b = append(append(b, `{"type":`...), rawjson.Quote(kind)...)
	b = append(append(b, `,"source":{"type":"base64","media_type":`...), rawjson.Quote(media)...)
	b = append(rawjson.AppendString(append(b, `,"data":`...), data), '}')
	if title != "" {
		b = rawjson.AppendString(append(b, `,"title":`...), title)
	}
	return append(b, '}')
}

// file makes a document (or image) block of a file part.
func (t *fromChat) file(p *chatPart, at string) (json.RawMessage, error) {
	if p.File.FileData == "" {
		if p.File.FileID == "" {
			return nil, dialect.Invalid(at, "a file needs file_data or file_id")
		}
		t.files = true
		return json.RawMessage(`{"type":"document","source":{"type":"file","file_id":` + string(rawjson.Quote(p.File.FileID)) + `}}`), nil
	}
	media, data := "", p.File.FileData
	if strings.HasPrefix(data, "data:") {
		var ok bool
		if media, data, ok = dataURL(data); !ok {
			return nil, dialect.Invalid(at+".file_data", "the file's data URL is not base64")
		}
	}
	name := strings.ToLower(p.File.Filename)
	switch {
	case media == "application/pdf", (media == "" || media == "application/octet-stream") && (name == "" || strings.HasSuffix(name, ".pdf")):
		return sourceBlock("document", "application/pdf", data, p.File.Filename), nil
	case strings.HasPrefix(media, "image/"):
		return sourceBlock("image", media, data, ""), nil
	}
	text, err := base64.StdEncoding.DecodeString(data)
	if err != nil || !utf8.Valid(text) || strings.ContainsRune(string(text), 0) {
		return nil, dialect.Invalid(at+".file_data", "this provider takes PDF, image and text files only")
	}
	b := rawjson.AppendString([]byte(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":`), string(text))
	b = append(b, '}')
	if p.File.Filename != "" {
		b = rawjson.AppendString(append(b, `,"title":`...), p.File.Filename)
	}
	return append(b, '}'), nil
}

func (t *fromChat) assistant(m *chatMessage, at string, last bool) error {
	if rawjson.Set(m.Audio) != nil {
		return dialect.Invalid(at+".audio", "this provider takes no audio")
	}
	blocks := t.replay(m)
	replayed := len(blocks)
	content, err := t.content(m.Content, at)
	if err != nil {
		return err
	}
	if m.Refusal != "" && len(content) == 0 {
		content = append(content, textBlock(m.Refusal))
	}
	if last && len(content) > 0 && len(m.ToolCalls) == 0 {
		content[len(content)-1] = trimmed(content[len(content)-1])
	}
	blocks = append(blocks, content...)
	for j := range m.ToolCalls {
		call := &m.ToolCalls[j]
		where := fmt.Sprintf("%s.tool_calls[%d]", at, j)
		if call.Type != "" && call.Type != "function" {
			return dialect.Invalid(where+".type", fmt.Sprintf("tool calls of type %q cannot be used with this provider", call.Type))
		}
		block, err := t.toolUse(call.ID, &call.Function, where+".function")
		if err != nil {
			return err
		}
		blocks = append(blocks, block)
	}
	if m.FunctionCall != nil {
		t.calls++
		id := fmt.Sprintf("call_%d", t.calls)
		t.lastID[m.FunctionCall.Name] = id
		block, err := t.toolUse(id, m.FunctionCall, at+".function_call")
		if err != nil {
			return err
		}
		blocks = append(blocks, block)
	}
	if len(blocks) > replayed { // thinking cannot be marked
		mark(blocks, m.Cache)
	}
	t.add("assistant", nil, blocks)
	return nil
}

// trimmed cuts the space off a prefill's end, which Anthropic refuses.
func trimmed(block json.RawMessage) json.RawMessage {
	var b struct {
		Text  string          `json:"text"`
		Cache json.RawMessage `json:"cache_control"`
	}
	if json.Unmarshal(block, &b) != nil || b.Text == "" || strings.TrimRight(b.Text, " \n\r\t") == b.Text {
		return block
	}
	out := []json.RawMessage{textBlock(strings.TrimRight(b.Text, " \n\r\t"))}
	mark(out, b.Cache)
	return out[0]
}

func (t *fromChat) toolUse(id string, f *chatCalled, at string) (json.RawMessage, error) {
	input := json.RawMessage("{}")
	if !blank(f.Arguments) {
		input = json.RawMessage(f.Arguments)
		if !isObject(input) {
			return nil, dialect.Invalid(at+".arguments", "arguments must be a JSON object")
		}
		input = rawjson.Compact(input)
	}
	var o rawjson.Object
	o.PutText("type", "tool_use")
	o.PutText("id", safeID(id))
	o.PutText("name", f.Name)
	o.Put("input", input)
	return o.JSON(), nil
}

// detail is one entry of reasoning_details, ours or OpenRouter's.
type detail struct {
	Type      string  `json:"type"`
	Text      *string `json:"text"`
	Signature string  `json:"signature"`
	Data      string  `json:"data"`
}

// replay brings back thinking that is signed; what is not, Anthropic refuses.
func (t *fromChat) replay(m *chatMessage) []json.RawMessage {
	var list []detail
	if rawjson.Set(m.ReasoningDetails) == nil || json.Unmarshal(m.ReasoningDetails, &list) != nil {
		return nil
	}
	var blocks []json.RawMessage
	text, signed := "", 0
	for _, d := range list {
		if d.Signature != "" {
			signed++
		}
	}
	for _, d := range list {
		switch d.Type {
		case "thinking", "reasoning.text":
			if d.Text != nil {
				text += *d.Text
			}
			if d.Signature == "" {
				continue
			}
			if d.Text == nil && text == "" && signed == 1 {
				text = m.ReasoningContent // a client that kept the two apart
			}
			b := rawjson.AppendString([]byte(`{"type":"thinking","thinking":`), text)
			b = rawjson.AppendString(append(b, `,"signature":`...), d.Signature)
			blocks = append(blocks, append(b, '}'))
			text = ""
		case "redacted", "reasoning.encrypted":
			if d.Data != "" {
				blocks = append(blocks, append(rawjson.AppendString([]byte(`{"type":"redacted_thinking","data":`), d.Data), '}'))
			}
		}
	}
	return blocks
}

// result makes a tool_result of a tool's (or a function's) message.
// Marks for the prompt cache stand on the result itself, never inside of it.
func (t *fromChat) result(m *chatMessage, at string) error {
	t.inResult, t.resultCache = true, m.Cache
	content, err := t.content(m.Content, at)
	t.inResult = false
	if err != nil {
		return err
	}
	id := m.ToolCallID
	if m.Role == "function" {
		if id = t.lastID[m.Name]; id == "" {
			return dialect.Invalid(at+".name", fmt.Sprintf("no function %q was called before", m.Name))
		}
	} else if id == "" {
		return dialect.Invalid(at+".tool_call_id", "a tool message needs a tool_call_id")
	}
	var o rawjson.Object
	o.PutText("type", "tool_result")
	o.PutText("tool_use_id", safeID(id))
	if len(content) > 0 {
		var text string
		if rawjson.IsString(m.Content) && json.Unmarshal(m.Content, &text) == nil {
			o.PutText("content", text)
		} else {
			o.Put("content", rawjson.Array(content))
		}
	}
	if rawjson.Set(t.resultCache) != nil {
		o.Put("cache_control", rawjson.Compact(t.resultCache))
	}
	t.add("user", []json.RawMessage{o.JSON()}, nil)
	return nil
}
