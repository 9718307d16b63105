package anthropic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

type chatMessage struct {
	Role             string          `json:"role"`
	Content          jsonscan.Value  `json:"content"`
	Name             string          `json:"name"`
	Refusal          jsonscan.String `json:"refusal"`
	Audio            jsonscan.Value  `json:"audio"`
	ToolCalls        []chatCall      `json:"tool_calls"`
	FunctionCall     *chatCalled     `json:"function_call"`
	ToolCallID       string          `json:"tool_call_id"`
	ReasoningContent jsonscan.String `json:"reasoning_content"`
	ReasoningDetails jsonscan.Value  `json:"reasoning_details"`
	Cache            jsonscan.Value  `json:"cache_control"`
}

type chatCall struct {
	Index    int             `json:"index"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Function chatCalled      `json:"function"`
	Extra    json.RawMessage `json:"extra_content"`
}

type chatCalled struct {
	Name      string          `json:"name"`
	Arguments jsonscan.String `json:"arguments"`
}

type chatPart struct {
	Type     string          `json:"type"`
	Text     jsonscan.String `json:"text"`
	Refusal  jsonscan.String `json:"refusal"`
	ImageURL struct {
		URL    jsonscan.String `json:"url"`
		Detail string          `json:"detail"`
	} `json:"image_url"`
	File struct {
		FileData jsonscan.String `json:"file_data"`
		FileID   jsonscan.String `json:"file_id"`
		FileURL  jsonscan.String `json:"file_url"`
		Filename string          `json:"filename"`
	} `json:"file"`
	Cache jsonscan.Value `json:"cache_control"`
}

// readMessages reads the messages and puts them into the order that Anthropic
// requires. It repairs histories that Anthropic would refuse, so that the session
// can continue: see dialect.Pair.
func (t *fromChat) readMessages() error {
	messages := t.req.Messages
	turns := make([]dialect.Turn, len(messages))
	for i := range messages {
		turns[i] = messages[i].turn()
	}
	order, repaired := dialect.Pair(turns)
	if repaired {
		t.ignore("messages.tool_calls.id")
	}
	for n, placed := range order {
		if placed.Turn < 0 {
			t.ignore("messages.tool_calls")
			t.interrupted(placed.Call.ID)
			continue
		}
		m, at := &messages[placed.Turn], fmt.Sprintf("messages[%d]", placed.Turn)
		if m.Name != "" && m.Role != "function" && m.Role != "tool" {
			t.ignore("messages.name")
		}
		var err error
		switch {
		case placed.Result:
			err = t.toolResult(m, placed.Call.ID, at)
		case m.Role == "tool" || m.Role == "function":
			t.ignore("messages.tool_call_id") // it matches no call: only its text is kept
			err = t.user(m, at)
		case m.Role == "system" || m.Role == "developer":
			err = t.systemMessage(m, at)
		case m.Role == "user":
			err = t.user(m, at)
		case m.Role == "assistant":
			err = t.assistant(m, turns[placed.Turn].Calls, at, n == len(order)-1)
		default:
			err = dialect.Invalid(at+".role", fmt.Sprintf("role must be system, developer, user, assistant or tool, not %q", m.Role))
		}
		if err != nil {
			return err
		}
	}
	if n := len(t.turns); n > 0 && t.turns[n-1].role == "assistant" && !t.model.Prefill {
		t.ignore("messages.prefill")
		t.add("user", nil, []jsonscan.Value{textBlock(text("Continue."))})
	}
	return nil
}

// turn returns what Pair needs to know about a message.
func (m *chatMessage) turn() (turn dialect.Turn) {
	switch m.Role {
	case "tool":
		turn.Result, turn.Of.ID = true, m.ToolCallID
	case "function":
		turn.Result, turn.Of.Name = true, m.Name
	case "assistant":
		for i := range m.ToolCalls {
			turn.Calls = append(turn.Calls, dialect.ToolRef{ID: m.ToolCalls[i].ID, Name: m.ToolCalls[i].Function.Name})
		}
		if m.FunctionCall != nil {
			turn.Calls = append(turn.Calls, dialect.ToolRef{Name: m.FunctionCall.Name})
		}
	}
	return turn
}

func (t *fromChat) user(m *chatMessage, at string) error {
	blocks, err := t.content(m.Content, at)
	if err != nil {
		return err
	}
	setCache(blocks, m.Cache)
	t.add("user", nil, blocks)
	return nil
}

func (t *fromChat) systemMessage(m *chatMessage, at string) error {
	blocks, err := t.content(m.Content, at)
	if err != nil {
		return err
	}
	for j, b := range blocks {
		if !isText(b) {
			return dialect.Invalid(fmt.Sprintf("%s.content[%d]", at, j), "instructions can contain only text")
		}
	}
	setCache(blocks, m.Cache)
	t.system = append(t.system, blocks...)
	return nil
}

func isText(block jsonscan.Value) bool { return block.Get("type").Is(`"text"`) }

// content returns the blocks of a string or a list of parts. Empty text yields
// none.
func (t *fromChat) content(v jsonscan.Value, at string) ([]jsonscan.Value, error) {
	if !v.Set() {
		return nil, nil
	}
	if s := v.String(); s != nil {
		return textBlocks(s), nil
	}
	var parts []chatPart
	if err := v.Decode(&parts); err != nil {
		return nil, dialect.Invalid(at+".content", "content must be a string or a list of parts")
	}
	var blocks []jsonscan.Value
	for j := range parts {
		more, err := t.part(&parts[j], fmt.Sprintf("%s.content[%d]", at, j))
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			continue
		}
		blocks = append(blocks, more...)
		if t.inResult && parts[j].Cache.Set() {
			t.resultCache = parts[j].Cache
			continue
		}
		setCache(blocks, parts[j].Cache)
	}
	return blocks, nil
}

// textBlocks returns the block of a text, or none if the text is blank.
func textBlocks(s jsonscan.String) []jsonscan.Value {
	if s.Blank() {
		return nil
	}
	return []jsonscan.Value{textBlock(jsonscan.Str(s))}
}

// part returns the block of a part, or none if the part is empty.
func (t *fromChat) part(p *chatPart, at string) ([]jsonscan.Value, error) {
	var block jsonscan.Value
	var err error
	switch p.Type {
	case "text":
		return textBlocks(p.Text), nil
	case "refusal":
		return textBlocks(p.Refusal), nil
	case "image_url":
		if p.ImageURL.Detail != "" && p.ImageURL.Detail != "auto" {
			t.ignore("image_url.detail")
		}
		block, err = image(p.ImageURL.URL, at+".image_url.url")
	case "file":
		block, err = t.file(p, at+".file")
	case "input_audio":
		err = dialect.Invalid(at+".input_audio", "this provider does not support audio")
	default:
		err = dialect.Invalid(at+".type", fmt.Sprintf("content parts of type %q cannot be used with this provider", p.Type))
	}
	return []jsonscan.Value{block}, err
}

// image returns an image block for a data: or https: URL.
func image(url jsonscan.String, at string) (jsonscan.Value, error) {
	if url.HasPrefix("data:") {
		media, data, ok := dialect.DataURL(url)
		if !ok {
			return jsonscan.Value{}, dialect.Invalid(at, "the image's data URL is not base64")
		}
		return sourceBlock("image", media, data, ""), nil
	}
	if !url.HasPrefix("https://") && !url.HasPrefix("http://") {
		return jsonscan.Value{}, dialect.Invalid(at, "an image must be an https or a base64 data URL")
	}
	return fileBlock("image", "url", "url", jsonscan.Str(url)), nil
}

// fileBlock returns a block whose source is a reference and not the data.
func fileBlock(kind, source, name string, value jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", text(kind)), member("source", jsonscan.Obj(member("type", text(source)), member(name, value))))
}

func sourceBlock(kind, media string, data jsonscan.String, title string) jsonscan.Value {
	source := jsonscan.Obj(member("type", text("base64")), member("media_type", text(media)), member("data", jsonscan.Str(data)))
	o := jsonscan.Obj(member("type", text(kind)), member("source", source))
	if title != "" {
		o.PutText("title", title)
	}
	return o
}

// file returns a document (or image) block for a file part.
func (t *fromChat) file(p *chatPart, at string) (jsonscan.Value, error) {
	if !p.File.FileURL.Empty() {
		return fileByURL(p, at+".file_url")
	}
	if p.File.FileData.Empty() {
		if p.File.FileID.Empty() {
			return jsonscan.Value{}, dialect.Invalid(at, "a file needs file_data or file_id")
		}
		t.files = true
		return fileBlock("document", "file", "file_id", jsonscan.Str(p.File.FileID)), nil
	}
	media, data := "", p.File.FileData
	if data.HasPrefix("data:") {
		var ok bool
		if media, data, ok = dialect.DataURL(data); !ok {
			return jsonscan.Value{}, dialect.Invalid(at+".file_data", "the file's data URL is not base64")
		}
	}
	name := strings.ToLower(p.File.Filename)
	switch {
	case media == "application/pdf", (media == "" || media == "application/octet-stream") && (name == "" || strings.HasSuffix(name, ".pdf")):
		return sourceBlock("document", "application/pdf", data, p.File.Filename), nil
	case strings.HasPrefix(media, "image/"):
		return sourceBlock("image", media, data, ""), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(data.Text())
	if err != nil || !utf8.Valid(decoded) || bytes.IndexByte(decoded, 0) >= 0 {
		return jsonscan.Value{}, dialect.Invalid(at+".file_data", "this provider supports only PDF, image and text files")
	}
	source := jsonscan.Obj(member("type", text("text")), member("media_type", text("text/plain")), member("data", text(string(decoded))))
	o := jsonscan.Obj(member("type", text("document")), member("source", source))
	if p.File.Filename != "" {
		o.PutText("title", p.File.Filename)
	}
	return o, nil
}

// fileByURL returns a document (or image) block for a file that Anthropic downloads
// itself.
func fileByURL(p *chatPart, at string) (jsonscan.Value, error) {
	address := p.File.FileURL
	if !address.HasPrefix("https://") && !address.HasPrefix("http://") {
		return jsonscan.Value{}, dialect.Invalid(at, "a file's URL must be an https one")
	}
	if dialect.FileKind(address.Text()) == "image" {
		return fileBlock("image", "url", "url", jsonscan.Str(address)), nil
	}
	o := fileBlock("document", "url", "url", jsonscan.Str(address))
	if p.File.Filename != "" {
		o.PutText("title", p.File.Filename)
	}
	return o, nil
}

// assistant adds a turn of the model. calls has the ids of its calls.
func (t *fromChat) assistant(m *chatMessage, calls []dialect.ToolRef, at string, last bool) error {
	if m.Audio.Set() {
		return dialect.Invalid(at+".audio", "this provider does not support audio")
	}
	thoughts := t.replay(m)
	content, err := t.content(m.Content, at)
	if err != nil {
		return err
	}
	if !m.Refusal.Empty() && len(content) == 0 {
		content = append(content, textBlock(jsonscan.Str(m.Refusal)))
	}
	if last && len(content) > 0 && len(calls) == 0 {
		trimEnd(&content[len(content)-1])
	}
	var uses []jsonscan.Value
	for j := range m.ToolCalls {
		call := &m.ToolCalls[j]
		where := fmt.Sprintf("%s.tool_calls[%d]", at, j)
		if call.Type != "" && call.Type != "function" {
			return dialect.Invalid(where+".type", fmt.Sprintf("tool calls of type %q cannot be used with this provider", call.Type))
		}
		uses = append(uses, t.toolUse(calls[j].ID, &call.Function))
	}
	if m.FunctionCall != nil {
		uses = append(uses, t.toolUse(calls[len(calls)-1].ID, m.FunctionCall))
	}
	if setCache(uses, m.Cache); len(uses) == 0 {
		setCache(content, m.Cache) // thinking cannot be marked
	}
	blocks := arrange(thoughts, content, uses)
	t.add("assistant", nil, blocks)
	return nil
}

// trimEnd removes white space from the end of a prefill, where Anthropic refuses
// it.
func trimEnd(block *jsonscan.Value) {
	s := block.Get("text").String()
	if !isText(*block) || s.Empty() {
		return
	}
	end := s[len(s)-2]
	if end != ' ' && end != 'n' && end != 'r' && end != 't' {
		return // it ends neither in a space nor in an escaped one
	}
	block.PutText("text", strings.TrimRight(s.Text(), " \n\r\t"))
}

// toolUse returns the block of a call. A call that was cut off stays in the
// history, with the arguments that it has.
func (t *fromChat) toolUse(id string, f *chatCalled) jsonscan.Value {
	input, ok := inputOf(f.Arguments)
	if !ok {
		if t.ignore("messages.tool_calls.arguments"); f.Arguments.Text() == "null" {
			input = jsonscan.Lit("{}")
		}
	}
	return jsonscan.Obj(member("type", jsonscan.Lit(`"tool_use"`)), member("id", text(safeID(id))), member("name", text(f.Name)), member("input", input))
}

// detail is one entry of reasoning_details, in the form of Hostless or OpenRouter.
type detail struct {
	Type      string          `json:"type"`
	Text      jsonscan.String `json:"text"`
	Signature jsonscan.String `json:"signature"`
	Data      jsonscan.String `json:"data"`
	Format    jsonscan.String `json:"format"` // the provider's name for its format, in OpenRouter's form
	After     dialect.Gap     `json:"after"`
}

// replay returns the signed thinking of a message. Anthropic refuses thinking that
// is not signed.
func (t *fromChat) replay(m *chatMessage) []thought {
	var list []detail
	if !m.ReasoningDetails.Set() || m.ReasoningDetails.Decode(&list) != nil {
		return nil
	}
	var thoughts []thought
	var after dialect.Gap
	var texts []jsonscan.String
	signed := 0
	for _, d := range list {
		if !d.Signature.Empty() {
			signed++
		}
	}
	for _, d := range list {
		after = append(after, d.After...)
		switch d.Type {
		case "thinking", "reasoning.text":
			if !d.Text.Empty() {
				texts = append(texts, d.Text)
			}
			if d.Signature.Empty() {
				continue
			}
			if d.Text == nil && len(texts) == 0 && signed == 1 && m.ReasoningContent != nil {
				texts = append(texts, m.ReasoningContent) // a client that stored text and signature separately
			}
			thoughts = append(thoughts, thought{thinkingBlock(jsonscan.Join("", texts...), jsonscan.Str(d.Signature)), after})
			texts, after = nil, nil
		case "redacted", "reasoning.encrypted":
			if !d.Data.Empty() && !d.Format.HasPrefix("openai") {
				thoughts = append(thoughts, thought{redactedBlock(jsonscan.Str(d.Data)), after})
				after = nil
			}
		}
	}
	return thoughts
}

// interrupted adds a result for a call that has none in the history.
func (t *fromChat) interrupted(id string) {
	o := resultBlock(id)
	o.PutText("content", dialect.Interrupted)
	o.Put("is_error", jsonscan.Lit("true"))
	t.add("user", []jsonscan.Value{o}, nil)
}

func resultBlock(id string) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Lit(`"tool_result"`)), member("tool_use_id", text(safeID(id))))
}

// toolResult adds the tool_result for the message of a tool or function. id is the
// id of its call. Marks for the prompt cache are set on the result itself, never
// inside it.
func (t *fromChat) toolResult(m *chatMessage, id, at string) error {
	t.inResult, t.resultCache = true, m.Cache
	content, err := t.content(m.Content, at)
	t.inResult = false
	if err != nil {
		return err
	}
	o := resultBlock(id)
	if len(content) > 0 {
		if s := m.Content.String(); s != nil {
			o.Put("content", jsonscan.Str(s))
		} else {
			o.Put("content", jsonscan.Arr(content))
		}
	}
	if t.resultCache.Set() {
		o.Put("cache_control", t.resultCache.Compact())
	}
	t.add("user", []jsonscan.Value{o}, nil)
	return nil
}
