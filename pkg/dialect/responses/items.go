package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// sealedPrefix begins encrypted_content made here. It contains reasoning_details of
// the intermediate form, which are not secret, for a client that sends it back
// unread.
const sealedPrefix = "hostless1:"

// converter assembles the chat request from the parts of a Responses request.
type converter struct {
	messages []jsonscan.Value
	ignored  []string
	kinds    map[string]tool // by the name of the function that the model sees
	search   *dialect.WebSearch
	model    string
	pictures bool  // the model is asked for images
	store    Store // stores the items that are only referenced; may be nil

	turn   *assistantTurn   // the assistant turn that is being assembled
	images []jsonscan.Value // images and files of tool outputs, for the user turn after them
}

// assistantTurn is one turn of the model, assembled from adjacent items. Its texts
// are lists of pieces.
type assistantTurn struct {
	text, refusal, reasoning []jsonscan.String
	details                  []json.RawMessage
	calls                    []toolCall
	after                    dialect.Gap // what followed its last reasoning item
}

// message returns the turn in the form of chat completions. It is absent if the
// turn has nothing that makes a message.
func (t *assistantTurn) message() jsonscan.Value {
	text, refusal, reasoning := joined(t.text), joined(t.refusal), joined(t.reasoning)
	if text.Absent() && refusal.Absent() && len(t.calls) == 0 {
		return jsonscan.Value{} // a message with only thinking is not accepted by chat providers
	}
	o := jsonscan.Obj(member("role", jsonscan.Lit(`"assistant"`)), member("content", jsonscan.Lit("null")))
	o.Put("content", text)
	o.Put("refusal", refusal)
	o.Put("reasoning_content", reasoning)
	if len(t.details) > 0 {
		o.Put("reasoning_details", rawList(t.details))
	}
	if len(t.calls) > 0 {
		calls := make([]jsonscan.Value, len(t.calls))
		for i, c := range t.calls {
			function := jsonscan.Obj(member("name", jsonscan.Quoted(c.Function.Name)), member("arguments", orEmpty(c.Function.Arguments)))
			calls[i] = jsonscan.Obj(member("id", jsonscan.Quoted(c.ID)), member("type", jsonscan.Quoted(c.Type)), member("function", function))
		}
		o.Put("tool_calls", jsonscan.Arr(calls))
	}
	return o
}

// joined returns the text of the pieces. It is absent if they are empty.
func joined(pieces []jsonscan.String) jsonscan.Value {
	var filled []jsonscan.String
	for _, s := range pieces {
		if !s.Empty() {
			filled = append(filled, s)
		}
	}
	if len(filled) == 0 {
		return jsonscan.Value{}
	}
	return jsonscan.Join("", filled...)
}

func rawList(list []json.RawMessage) jsonscan.Value {
	values := make([]jsonscan.Value, len(list))
	for i, raw := range list {
		values[i] = jsonscan.Raw(raw).Compact()
	}
	return jsonscan.Arr(values)
}

// member returns a member of an object to be written.
func member(name string, value jsonscan.Value) jsonscan.Field {
	return jsonscan.Field{Name: name, Value: value}
}

// orEmpty returns a string to be written, "" if there is none.
func orEmpty(s jsonscan.String) jsonscan.Value {
	if s == nil {
		return jsonscan.Lit(`""`)
	}
	return jsonscan.Str(s)
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function callFunction `json:"function"`
}

type callFunction struct {
	Name      string          `json:"name"`
	Arguments jsonscan.String `json:"arguments"`
}

type item struct {
	Type             string          `json:"type"`
	ID               string          `json:"id"`
	Role             string          `json:"role"`
	Content          jsonscan.Value  `json:"content"`
	CallID           string          `json:"call_id"`
	Name             string          `json:"name"`
	Namespace        string          `json:"namespace"`
	Arguments        jsonscan.String `json:"arguments"`
	Input            jsonscan.String `json:"input"`
	Output           jsonscan.Value  `json:"output"`
	Summary          []part          `json:"summary"`
	EncryptedContent jsonscan.String `json:"encrypted_content"`
	Action           jsonscan.Value  `json:"action"`    // of a shell call
	Operation        jsonscan.Value  `json:"operation"` // of apply_patch_call
	Status           string          `json:"status"`
	Result           jsonscan.String `json:"result"` // of image_generation_call
	Format           string          `json:"output_format"`
}

type part struct {
	Type     string          `json:"type"`
	Text     jsonscan.String `json:"text"`
	Refusal  jsonscan.String `json:"refusal"`
	ImageURL jsonscan.String `json:"image_url"`
	Detail   jsonscan.String `json:"detail"`
	FileID   jsonscan.String `json:"file_id"`
	FileData jsonscan.String `json:"file_data"`
	FileURL  jsonscan.String `json:"file_url"`
	Filename jsonscan.String `json:"filename"`
	Audio    jsonscan.Value  `json:"input_audio"`
	Cache    jsonscan.Value  `json:"cache_control"`
}

func (c *converter) ignore(name string) {
	c.ignored = dialect.Ignore(c.ignored, name)
}

// addText adds a message with a role and a string.
func (c *converter) addText(role string, content jsonscan.Value) {
	c.messages = append(c.messages, jsonscan.Obj(member("content", content), member("role", jsonscan.Quoted(role))))
}

func (c *converter) instructions(v jsonscan.Value) error {
	if !v.Set() {
		return nil
	}
	text := v.String()
	if text == nil {
		return dialect.Invalid("instructions", "instructions must be a string")
	}
	if !text.Empty() {
		c.addText("system", jsonscan.Str(text))
	}
	return nil
}

// input translates a string or a list of items.
func (c *converter) input(v jsonscan.Value) error {
	if !v.Set() {
		return dialect.Invalid("input", "input is missing")
	}
	if text := v.String(); text != nil {
		c.addText("user", jsonscan.Str(text))
		return nil
	}
	if v.Kind() != '[' {
		return dialect.Invalid("input", "input must be a string or a list of items")
	}
	for i, raw := range v.Elements() {
		// Items that are left out may have members of any type.
		if kind := raw.Get("type").String().Text(); raw.Kind() == '{' && kind != "" && !understood[kind] {
			c.ignore(kind)
			continue
		}
		var it item
		if err := raw.Decode(&it); err != nil {
			return dialect.Invalid("input", "input must be a string or a list of items: "+dialect.Why(err))
		}
		if err := c.item(&it, fmt.Sprintf("input[%d]", i)); err != nil {
			return err
		}
	}
	c.endTurn()
	c.endOutputs()
	return nil
}

// understood are the types of the items that are translated. Other items belong to
// tools that OpenAI ran, or offered, while its model responded, or their type is
// unknown. The session can continue without them.
var understood = map[string]bool{
	"message": true, "reasoning": true, "function_call": true, "function_call_output": true, "custom_tool_call": true, "custom_tool_call_output": true,
	"local_shell_call": true, "local_shell_call_output": true, "shell_call": true, "shell_call_output": true,
	"apply_patch_call": true, "apply_patch_call_output": true, "compaction": true, "compaction_summary": true, "compaction_trigger": true, "item_reference": true,
	"image_generation_call": true,
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
		input := jsonscan.Obj(member("input", orEmpty(it.Input))).JSON()
		c.call(it.CallID, it.Name, jsonscan.AppendQuote(nil, []byte(input)))
	case "function_call_output", "custom_tool_call_output":
		return c.output(it, at)
	case "local_shell_call", "shell_call", "apply_patch_call":
		c.localCall(it)
	case "local_shell_call_output", "shell_call_output", "apply_patch_call_output":
		return c.localOutput(it, at)
	case "compaction", "compaction_summary":
		c.compaction(it)
	case "compaction_trigger":
	case "image_generation_call":
		c.pictureBack(it)
	case "item_reference":
		return c.reference(it.ID, at)
	default:
		c.ignore(it.Type)
	}
	return nil
}

// reference replaces an item_reference by the item of an earlier response.
func (c *converter) reference(id, at string) error {
	if c.store != nil {
		if raw, ok := c.store.Item(id); ok {
			var kept item
			if err := jsonscan.Decode(raw, &kept); err != nil {
				return fmt.Errorf("read item %q: %w", id, err)
			}
			return c.item(&kept, at)
		}
	}
	return dialect.Invalid(at, fmt.Sprintf("item %q is unknown: this provider stores no responses, send the item itself", id))
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
		role = "system" // supported by every chat provider
	}
	if text, ok := textOf(it.Content); ok {
		c.addText(role, text)
		return nil
	}
	content, err := contentOf(it.Content, at)
	if err != nil {
		return err
	}
	c.messages = append(c.messages, jsonscan.Obj(member("role", jsonscan.Quoted(role)), member("content", content)))
	return nil
}

// textOf returns content that is a string. null counts as an empty string.
func textOf(v jsonscan.Value) (text jsonscan.Value, ok bool) {
	if v.Kind() == 'n' {
		return jsonscan.Lit(`""`), true
	}
	s := v.String()
	return jsonscan.Str(s), s != nil
}

func (c *converter) assistantMessage(it *item, at string) error {
	t := c.openTurn()
	if text, ok := textOf(it.Content); ok {
		t.say(text.String())
		return nil
	}
	parts, err := partsOf(it.Content, at+".content", "content")
	if err != nil {
		return err
	}
	for i, p := range parts {
		switch p.Type {
		case "output_text", "input_text", "text":
			t.say(p.Text)
		case "refusal":
			t.refusal = append(t.refusal, p.Refusal)
		default:
			return dialect.Invalid(fmt.Sprintf("%s.content[%d].type", at, i), fmt.Sprintf("an assistant's content part cannot be %q", p.Type))
		}
	}
	return nil
}

func partsOf(v jsonscan.Value, at, name string) (parts []part, err error) {
	if v.Kind() != '[' || v.Decode(&parts) != nil {
		return nil, dialect.Invalid(at, name+" must be a string or a list of parts")
	}
	return parts, nil
}

// contentOf translates a user's content. A single plain text part becomes a string,
// which every provider accepts.
func contentOf(v jsonscan.Value, at string) (jsonscan.Value, error) {
	parts, err := partsOf(v, at+".content", "content")
	if err != nil {
		return v, err
	}
	out := make([]jsonscan.Value, 0, len(parts))
	for i := range parts {
		p, where := &parts[i], fmt.Sprintf("%s.content[%d]", at, i)
		var o jsonscan.Value
		switch p.Type {
		case "input_text", "output_text", "text":
			if len(parts) == 1 && p.Cache.Absent() {
				return orEmpty(p.Text), nil
			}
			o = jsonscan.Obj(member("type", jsonscan.Lit(`"text"`)), member("text", orEmpty(p.Text)), member("cache_control", p.Cache.Compact()))
		case "input_image":
			if p.ImageURL.Empty() {
				return v, dialect.Invalid(where+".file_id", "an image by file id cannot be used with this provider: send image_url")
			}
			image := jsonscan.Obj(filled("detail", p.Detail), filled("url", p.ImageURL))
			o = jsonscan.Obj(member("image_url", image), member("type", jsonscan.Lit(`"image_url"`)))
		case "input_file":
			o = filePart(p)
		case "input_audio":
			audio := jsonscan.Lit("null")
			if p.Audio.Set() {
				audio = p.Audio.Compact()
			}
			o = jsonscan.Obj(member("input_audio", audio), member("type", jsonscan.Lit(`"input_audio"`)))
		default:
			return v, dialect.Invalid(where+".type", fmt.Sprintf("content parts of type %q cannot be used with this provider", p.Type))
		}
		out = append(out, o)
	}
	return jsonscan.Arr(out), nil
}

// filePart returns a file in the intermediate form.
func filePart(p *part) jsonscan.Value {
	file := jsonscan.Obj(filled("file_data", p.FileData), filled("file_id", p.FileID), filled("file_url", p.FileURL), filled("filename", p.Filename))
	return jsonscan.Obj(member("file", file), member("type", jsonscan.Lit(`"file"`)))
}

// filled returns a member that is left out if its text is empty.
func filled(name string, s jsonscan.String) jsonscan.Field {
	if s.Empty() {
		s = nil
	}
	return member(name, jsonscan.Str(s))
}

// reasoningItem restores a turn's thinking. Encrypted thinking of another provider
// is left out, because this one cannot read it. OpenAI does the same.
func (c *converter) reasoningItem(it *item) {
	t := c.openTurn()
	if it.EncryptedContent.HasPrefix(sealedPrefix) {
		if data, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(it.EncryptedContent.Text(), sealedPrefix)); err == nil {
			var details []json.RawMessage
			if jsonscan.Valid(data) && jsonscan.Decode(data, &details) == nil {
				t.place(details)
				t.details = append(t.details, details...)
			}
		}
	} else if !it.EncryptedContent.Empty() {
		c.ignore("reasoning.encrypted_content")
	}
	for _, s := range it.Summary {
		t.reasoning = append(t.reasoning, s.Text)
	}
}

// call adds a tool call to the turn.
func (c *converter) call(id, name string, arguments jsonscan.String) {
	if arguments.Empty() {
		arguments = jsonscan.String(`"{}"`)
	}
	t := c.openTurn()
	t.after.Call()
	t.calls = append(t.calls, toolCall{ID: id, Type: "function", Function: callFunction{name, arguments}})
}

// output adds a tool's result. Tool messages of chat completions contain only text:
// images and files follow in a separate user turn after all results of this turn.
func (c *converter) output(it *item, at string) error {
	c.endTurn()
	text, ok := textOf(it.Output)
	if !ok {
		parts, err := partsOf(it.Output, at+".output", "output")
		if err != nil {
			return err
		}
		var texts []jsonscan.String
		for i, p := range parts {
			switch p.Type {
			case "input_text", "output_text", "text":
				texts = append(texts, p.Text)
			case "input_image":
				image := jsonscan.Obj(member("url", orEmpty(p.ImageURL)))
				c.images = append(c.images, jsonscan.Obj(member("image_url", image), member("type", jsonscan.Lit(`"image_url"`))))
			case "input_file":
				c.images = append(c.images, filePart(&parts[i]))
			default:
				return dialect.Invalid(fmt.Sprintf("%s.output[%d].type", at, i), fmt.Sprintf("a tool's output part cannot be %q with this provider", p.Type))
			}
		}
		text = jsonscan.Join("\n", texts...)
	}
	c.messages = append(c.messages, jsonscan.Obj(member("role", jsonscan.Lit(`"tool"`)), member("tool_call_id", jsonscan.Quoted(it.CallID)), member("content", text)))
	return nil
}

// openTurn returns the assistant turn that is being assembled, and starts one if
// necessary.
func (c *converter) openTurn() *assistantTurn {
	if c.turn == nil {
		c.endOutputs()
		c.turn = &assistantTurn{}
	}
	return c.turn
}

func (c *converter) endTurn() {
	t := c.turn
	c.turn = nil
	if t == nil {
		return
	}
	if m := t.message(); !m.Absent() {
		c.messages = append(c.messages, m)
	}
}

func (c *converter) endOutputs() {
	if len(c.images) > 0 {
		c.addText("user", jsonscan.Arr(c.images))
		c.images = nil
	}
}
