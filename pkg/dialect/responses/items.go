package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// sealed marks encrypted_content made here: the reasoning_details of the
// middle, not secret, only carried through a client that keeps it opaque.
const sealed = "hostless1:"

// converter gathers the chat request from the parts of a Responses request.
type converter struct {
	messages []json.RawMessage
	ignored  []string
	kinds    map[string]tool // by the function name that the model sees
	store    Store           // where items that are only named are found; may be nil

	turn   *assistant        // the assistant turn under construction
	images []json.RawMessage // images of tool outputs, for the user turn behind them
}

// assistant is one turn of the model, gathered from neighbouring items.
type assistant struct {
	Role             string            `json:"role"`
	Content          any               `json:"content"`
	Refusal          string            `json:"refusal,omitempty"`
	ReasoningContent string            `json:"reasoning_content,omitempty"`
	ReasoningDetails []json.RawMessage `json:"reasoning_details,omitempty"`
	ToolCalls        []toolCall        `json:"tool_calls,omitempty"`

	text strings.Builder
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function callFunction `json:"function"`
}

type callFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type item struct {
	Type             string          `json:"type"`
	ID               string          `json:"id"`
	Role             string          `json:"role"`
	Content          json.RawMessage `json:"content"`
	CallID           string          `json:"call_id"`
	Name             string          `json:"name"`
	Namespace        string          `json:"namespace"`
	Arguments        string          `json:"arguments"`
	Input            string          `json:"input"`
	Output           json.RawMessage `json:"output"`
	Summary          []part          `json:"summary"`
	EncryptedContent string          `json:"encrypted_content"`
}

type part struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Refusal  string          `json:"refusal"`
	ImageURL string          `json:"image_url"`
	Detail   string          `json:"detail"`
	FileID   string          `json:"file_id"`
	FileData string          `json:"file_data"`
	FileURL  string          `json:"file_url"`
	Filename string          `json:"filename"`
	Audio    json.RawMessage `json:"input_audio"`
	Cache    json.RawMessage `json:"cache_control"`
}

func (c *converter) ignore(name string) {
	c.ignored = dialect.Ignore(c.ignored, name)
}

func (c *converter) add(v any) {
	c.messages = append(c.messages, rawjson.Must(v))
}

func (c *converter) instructions(raw json.RawMessage) error {
	if rawjson.Set(raw) == nil {
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return dialect.Invalid("instructions", "instructions must be a string")
	}
	if text != "" {
		c.add(map[string]any{"role": "system", "content": text})
	}
	return nil
}

// input takes a string or a list of items.
func (c *converter) input(raw json.RawMessage) error {
	if rawjson.Set(raw) == nil {
		return dialect.Invalid("input", "input is missing")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		c.add(map[string]any{"role": "user", "content": text})
		return nil
	}
	var items []item
	if err := json.Unmarshal(raw, &items); err != nil {
		return dialect.Invalid("input", "input must be a string or a list of items: "+dialect.Why(err))
	}
	for i := range items {
		if err := c.item(&items[i], fmt.Sprintf("input[%d]", i)); err != nil {
			return err
		}
	}
	c.endTurn()
	c.endOutputs()
	return nil
}

func (c *converter) item(it *item, at string) error {
	switch it.Type {
	case "message", "":
		return c.message(it, at)
	case "reasoning":
		c.reasoningItem(it)
	case "function_call":
		name := it.Name
		if it.Namespace != "" {
			name = joinName(it.Namespace, it.Name)
		}
		c.call(it.CallID, name, it.Arguments)
	case "custom_tool_call":
		c.call(it.CallID, it.Name, string(rawjson.Must(map[string]string{"input": it.Input})))
	case "function_call_output", "custom_tool_call_output":
		return c.output(it, at)
	case "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call":
		c.ignore(it.Type)
	case "item_reference":
		return c.reference(it.ID, at)
	default:
		return dialect.Invalid(at+".type", fmt.Sprintf("items of type %q cannot be used with this provider", it.Type))
	}
	return nil
}

// reference takes an item of an earlier answer for the name that stands for it.
func (c *converter) reference(id, at string) error {
	if c.store != nil {
		if raw, ok := c.store.Item(id); ok {
			var kept item
			if err := json.Unmarshal(raw, &kept); err != nil {
				return fmt.Errorf("read item %q: %w", id, err)
			}
			return c.item(&kept, at)
		}
	}
	return dialect.Invalid(at, fmt.Sprintf("item %q is not known here: this provider keeps no responses, send the item itself", id))
}

func (c *converter) message(it *item, at string) error {
	switch it.Role {
	case "assistant":
		return c.assistantMessage(it, at)
	case "user", "system", "developer":
	default:
		return dialect.Invalid(at+".role", fmt.Sprintf("role must be user, assistant, system or developer, not %q", it.Role))
	}
	c.endTurn()
	c.endOutputs()
	role := it.Role
	if role == "developer" {
		role = "system" // what every chat provider knows
	}
	var text string
	if json.Unmarshal(it.Content, &text) == nil {
		c.add(map[string]any{"role": role, "content": text})
		return nil
	}
	parts, err := contentParts(it.Content, at)
	if err != nil {
		return err
	}
	c.add(struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	}{role, plainest(parts)})
	return nil
}

// plainest gives one plain text part as a string, which every provider takes.
func plainest(parts []json.RawMessage) any {
	if len(parts) == 1 {
		var p struct {
			Type  string          `json:"type"`
			Text  string          `json:"text"`
			Cache json.RawMessage `json:"cache_control"`
		}
		if json.Unmarshal(parts[0], &p) == nil && p.Type == "text" && p.Cache == nil {
			return p.Text
		}
	}
	return parts
}

func (c *converter) assistantMessage(it *item, at string) error {
	t := c.open()
	var text string
	if json.Unmarshal(it.Content, &text) == nil {
		t.text.WriteString(text)
		return nil
	}
	var parts []part
	if err := json.Unmarshal(it.Content, &parts); err != nil {
		return dialect.Invalid(at+".content", "content must be a string or a list of parts")
	}
	for i, p := range parts {
		switch p.Type {
		case "output_text", "input_text", "text":
			t.text.WriteString(p.Text)
		case "refusal":
			t.Refusal += p.Refusal
		default:
			return dialect.Invalid(fmt.Sprintf("%s.content[%d].type", at, i), fmt.Sprintf("an assistant's content part cannot be %q", p.Type))
		}
	}
	return nil
}

// contentParts maps a user's content to chat's.
func contentParts(raw json.RawMessage, at string) ([]json.RawMessage, error) {
	var parts []part
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, dialect.Invalid(at+".content", "content must be a string or a list of parts")
	}
	out := make([]json.RawMessage, 0, len(parts))
	for i, p := range parts {
		where := fmt.Sprintf("%s.content[%d]", at, i)
		var v any
		switch p.Type {
		case "input_text", "output_text", "text":
			v = struct {
				Type  string          `json:"type"`
				Text  string          `json:"text"`
				Cache json.RawMessage `json:"cache_control,omitempty"`
			}{"text", p.Text, p.Cache}
		case "input_image":
			if p.ImageURL == "" {
				return nil, dialect.Invalid(where+".file_id", "an image by file id cannot be used with this provider; send image_url")
			}
			image := map[string]any{"url": p.ImageURL}
			if p.Detail != "" {
				image["detail"] = p.Detail
			}
			v = map[string]any{"type": "image_url", "image_url": image}
		case "input_file":
			file := map[string]string{}
			for name, value := range map[string]string{"file_id": p.FileID, "file_data": p.FileData, "filename": p.Filename} {
				if value != "" {
					file[name] = value
				}
			}
			if p.FileURL != "" {
				return nil, dialect.Invalid(where+".file_url", "a file by URL cannot be used with this provider; send file_data")
			}
			v = map[string]any{"type": "file", "file": file}
		case "input_audio":
			v = map[string]any{"type": "input_audio", "input_audio": p.Audio}
		default:
			return nil, dialect.Invalid(where+".type", fmt.Sprintf("content parts of type %q cannot be used with this provider", p.Type))
		}
		out = append(out, rawjson.Must(v))
	}
	return out, nil
}

// reasoningItem brings a turn's thinking back. Another provider's encrypted
// thinking means nothing to this one and is left out, as OpenAI does itself.
func (c *converter) reasoningItem(it *item) {
	t := c.open()
	if payload, ok := strings.CutPrefix(it.EncryptedContent, sealed); ok {
		if data, err := base64.StdEncoding.DecodeString(payload); err == nil {
			var details []json.RawMessage
			if json.Unmarshal(data, &details) == nil {
				t.ReasoningDetails = append(t.ReasoningDetails, details...)
			}
		}
	} else if it.EncryptedContent != "" {
		c.ignore("reasoning.encrypted_content")
	}
	for _, s := range it.Summary {
		t.ReasoningContent += s.Text
	}
}

// call adds a tool call to the turn.
func (c *converter) call(id, name, arguments string) {
	if arguments == "" {
		arguments = "{}"
	}
	t := c.open()
	t.ToolCalls = append(t.ToolCalls, toolCall{ID: id, Type: "function", Function: callFunction{name, arguments}})
}

// output adds a tool's answer. Chat's tool messages hold text only: images
// follow in a user turn of their own, behind all answers of this turn.
func (c *converter) output(it *item, at string) error {
	c.endTurn()
	var text string
	if json.Unmarshal(it.Output, &text) != nil {
		var parts []part
		if err := json.Unmarshal(it.Output, &parts); err != nil {
			return dialect.Invalid(at+".output", "output must be a string or a list of parts")
		}
		texts := []string{}
		for i, p := range parts {
			switch p.Type {
			case "input_text", "output_text", "text":
				texts = append(texts, p.Text)
			case "input_image":
				c.images = append(c.images, rawjson.Must(map[string]any{"type": "image_url", "image_url": map[string]string{"url": p.ImageURL}}))
			default:
				return dialect.Invalid(fmt.Sprintf("%s.output[%d].type", at, i), fmt.Sprintf("a tool's output part cannot be %q with this provider", p.Type))
			}
		}
		text = strings.Join(texts, "\n")
	}
	c.add(struct {
		Role       string `json:"role"`
		ToolCallID string `json:"tool_call_id"`
		Content    string `json:"content"`
	}{"tool", it.CallID, text})
	return nil
}

// open gives the assistant turn under construction, a new one if need be.
func (c *converter) open() *assistant {
	if c.turn == nil {
		c.endOutputs()
		c.turn = &assistant{Role: "assistant"}
	}
	return c.turn
}

func (c *converter) endTurn() {
	t := c.turn
	c.turn = nil
	if t == nil {
		return
	}
	if text := t.text.String(); text != "" {
		t.Content = text
	}
	if t.Content == nil && t.Refusal == "" && len(t.ToolCalls) == 0 {
		return // thinking alone is no turn that a chat provider takes
	}
	c.add(t)
}

func (c *converter) endOutputs() {
	if len(c.images) > 0 {
		c.add(map[string]any{"role": "user", "content": c.images})
		c.images = nil
	}
}
