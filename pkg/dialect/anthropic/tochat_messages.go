package anthropic

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

type inMessage struct {
	Role    string         `json:"role"`
	Content jsonscan.Value `json:"content"`
}

type inBlock struct {
	Type      string          `json:"type"`
	Text      jsonscan.String `json:"text"`
	Source    jsonscan.Value  `json:"source"` // of an image or document; a string in a search result
	Title     jsonscan.String `json:"title"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     jsonscan.Value  `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	ToolName  string          `json:"tool_name"` // of a tool_reference
	Citations jsonscan.Value  `json:"citations"` // of a document
	Context   jsonscan.Value  `json:"context"`   // of a document
	Content   jsonscan.Value  `json:"content"`
	IsError   bool            `json:"is_error"`
	Thinking  jsonscan.String `json:"thinking"`
	Signature jsonscan.String `json:"signature"`
	Data      jsonscan.String `json:"data"`
	Cache     jsonscan.Value  `json:"cache_control"`
}

type inSource struct {
	Type      string          `json:"type"`
	MediaType jsonscan.String `json:"media_type"`
	Data      jsonscan.String `json:"data"`
	URL       jsonscan.String `json:"url"`
	Content   jsonscan.Value  `json:"content"`
}

// sealedPrefix marks reasoning of another provider, which is sent through a
// Messages client as redacted thinking. It is not secret.
const sealedPrefix = "hostless1:"

// billingPrefix begins a line that Claude Code sends for Anthropic's accounting. It
// differs from request to request and would defeat every prompt cache.
const billingPrefix = "x-anthropic-billing-header:"

// blocksOf reads content that is a string or a list of blocks.
func blocksOf(v jsonscan.Value, at string) ([]inBlock, error) {
	if !v.Set() {
		return nil, nil
	}
	if text := v.String(); text != nil {
		if text.Empty() {
			return nil, nil
		}
		return []inBlock{{Type: "text", Text: text}}, nil
	}
	var blocks []inBlock
	if err := v.Decode(&blocks); err != nil {
		return nil, dialect.Invalid(at, at+" must be a string or a list of content blocks")
	}
	return blocks, nil
}

func (t *toChat) readMessages() error {
	system, err := blocksOf(t.req.System, "system")
	if err != nil {
		return err
	}
	if err := t.systemMessage(system, "system"); err != nil {
		return err
	}
	for i, m := range t.req.Messages {
		at := fmt.Sprintf("messages[%d].content", i)
		blocks, err := blocksOf(m.Content, at)
		if err != nil {
			return err
		}
		switch m.Role {
		case "user":
			err = t.user(blocks, at)
		case "assistant":
			err = t.assistant(blocks, at)
		case "system":
			err = t.systemMessage(blocks, at)
		default:
			err = dialect.Invalid(fmt.Sprintf("messages[%d].role", i), fmt.Sprintf("role must be user or assistant, not %q", m.Role))
		}
		if err != nil {
			return err
		}
	}
	if len(t.messages) == 0 {
		return dialect.Invalid("messages", "messages must contain at least one message")
	}
	return nil
}

func (t *toChat) addMessage(role string, content jsonscan.Value) {
	t.messages = append(t.messages, jsonscan.Obj(member("role", text(role)), member("content", content)))
}

// part is a content part of a chat message.
type part struct {
	text  jsonscan.Value // text of a text part; absent for others
	other jsonscan.Value // a part of another kind, complete
	cache jsonscan.Value // its mark for the prompt cache, if the provider supports one
}

func textPart(s jsonscan.String) part { return part{text: jsonscan.Str(s)} }

func (p part) value() jsonscan.Value {
	o := p.other
	if !p.text.Absent() {
		o = textBlock(p.text)
	}
	if p.cache.Set() {
		o.Put("cache_control", p.cache.Compact())
	}
	return o
}

func valuesOf(parts []part) jsonscan.Value {
	list := make([]jsonscan.Value, len(parts))
	for i, p := range parts {
		list[i] = p.value()
	}
	return jsonscan.Arr(list)
}

// textBlock returns a text block, which is the same in both dialects.
func textBlock(text jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Lit(`"text"`)), member("text", text))
}

func (t *toChat) systemMessage(blocks []inBlock, at string) error {
	var parts []part
	var texts []jsonscan.String
	marked := false
	for j := range blocks {
		b := &blocks[j]
		if b.Type != "text" {
			return dialect.Invalid(fmt.Sprintf("%s[%d].type", at, j), "instructions can contain only text")
		}
		if b.Text.Empty() || b.Text.HasPrefix(billingPrefix) {
			continue
		}
		p := textPart(b.Text)
		t.setCache(&p, b.Cache)
		parts, texts = append(parts, p), append(texts, b.Text)
		marked = marked || p.cache.Set()
	}
	switch {
	case len(texts) == 0:
	case marked:
		t.addMessage("system", valuesOf(parts))
	default:
		t.addMessage("system", jsonscan.Join("\n\n", texts...))
	}
	return nil
}

// setCache sets a part's mark for the prompt cache, if the provider supports one.
func (t *toChat) setCache(p *part, cache jsonscan.Value) {
	if t.up.Takes(openai.CacheControl) && !p.cache.Set() {
		p.cache = cache
	}
}

// simplest returns a single unmarked text as a string, which every provider
// accepts.
func simplest(parts []part) jsonscan.Value {
	if len(parts) == 1 && !parts[0].text.Absent() && !parts[0].cache.Set() {
		return parts[0].text
	}
	return valuesOf(parts)
}

// user splits a turn into tool messages and a user message after them. The user
// message also contains the images that tool messages of chat completions cannot
// contain.
func (t *toChat) user(blocks []inBlock, at string) error {
	var parts, shown []part
	for j := range blocks {
		b, where := &blocks[j], fmt.Sprintf("%s[%d]", at, j)
		if b.Type == "tool_result" {
			more, err := t.toolResult(b, where)
			if err != nil {
				return err
			}
			shown = append(shown, more...)
			continue
		}
		more, err := t.parts(b, where)
		if err != nil {
			return err
		}
		if n := len(more); n > 0 {
			t.setCache(&more[n-1], b.Cache)
		}
		parts = append(parts, more...)
	}
	if parts = append(shown, parts...); len(parts) > 0 {
		t.addMessage("user", simplest(parts))
	}
	return nil
}

// parts returns the content parts of a block for chat completions.
func (t *toChat) parts(b *inBlock, at string) ([]part, error) {
	var s inSource
	if b.Type == "image" || b.Type == "document" {
		if !b.Source.Absent() && b.Source.Decode(&s) != nil || b.Source.Absent() {
			return nil, dialect.Invalid(at+".source", "source must be an object")
		}
	}
	switch b.Type {
	case "text":
		if b.Text.Empty() {
			return nil, nil
		}
		return []part{textPart(b.Text)}, nil
	case "image":
		switch s.Type {
		case "base64":
			return imagePart(dataURLOf(&s)), nil
		case "url":
			return imagePart(orEmpty(s.URL)), nil
		}
		return nil, dialect.Invalid(at+".source.type", fmt.Sprintf("an image's source of type %q cannot be used with this provider", s.Type))
	case "document":
		return t.document(b, &s, at)
	case "search_result":
		inner, err := blocksOf(b.Content, at+".content")
		if err != nil {
			return nil, err
		}
		lines := []jsonscan.String{b.Title, b.Source.String()}
		for _, c := range inner {
			lines = append(lines, c.Text)
		}
		return []part{{text: jsonscan.Join("\n", lines...)}}, nil
	case "tool_reference":
		return []part{textPart(jsonscan.Quote("Tool that can be called now: " + b.ToolName))}, nil
	}
	return nil, dialect.Invalid(at+".type", fmt.Sprintf("content blocks of type %q cannot be used with this provider", b.Type))
}

func imagePart(url jsonscan.Value) []part {
	return []part{{other: jsonscan.Obj(member("type", jsonscan.Lit(`"image_url"`)), member("image_url", jsonscan.Obj(member("url", url))))}}
}

// dataURLOf returns the data URL of a base64 source.
func dataURLOf(s *inSource) jsonscan.Value {
	return jsonscan.Join("", jsonscan.String(`"data:"`), s.MediaType, jsonscan.String(`";base64,"`), s.Data)
}

// orEmpty returns a string to be written, "" if there is none.
func orEmpty(s jsonscan.String) jsonscan.Value {
	if s == nil {
		return jsonscan.Lit(`""`)
	}
	return jsonscan.Str(s)
}

func (t *toChat) document(b *inBlock, s *inSource, at string) ([]part, error) {
	if b.Citations.Get("enabled").Is("true") {
		t.ignore("document.citations")
	}
	if b.Context.Set() {
		t.ignore("document.context")
	}
	switch s.Type {
	case "base64":
		name := jsonscan.Lit(`"document.pdf"`)
		if !b.Title.Empty() {
			name = jsonscan.Str(b.Title)
		}
		file := jsonscan.Obj(member("filename", name), member("file_data", dataURLOf(s)))
		return []part{{other: jsonscan.Obj(member("type", jsonscan.Lit(`"file"`)), member("file", file))}}, nil
	case "url":
		file := jsonscan.Obj(member("file_url", orEmpty(s.URL)))
		if !b.Title.Empty() {
			file.Put("filename", jsonscan.Str(b.Title))
		}
		return []part{{other: jsonscan.Obj(member("type", jsonscan.Lit(`"file"`)), member("file", file))}}, nil
	case "text":
		if !b.Title.Empty() {
			return []part{{text: jsonscan.Join("\n\n", b.Title, s.Data)}}, nil
		}
		return []part{{text: orEmpty(s.Data)}}, nil
	case "content":
		inner, err := blocksOf(s.Content, at+".source.content")
		if err != nil {
			return nil, err
		}
		var parts []part
		if !b.Title.Empty() {
			parts = append(parts, textPart(b.Title))
		}
		for k := range inner {
			if inner[k].Type == "document" {
				return nil, dialect.Invalid(at+".source.content", "a document cannot contain another one")
			}
			more, err := t.parts(&inner[k], fmt.Sprintf("%s.source.content[%d]", at, k))
			if err != nil {
				return nil, err
			}
			parts = append(parts, more...)
		}
		return parts, nil
	}
	return nil, dialect.Invalid(at+".source.type", fmt.Sprintf("a document's source of type %q cannot be used with this provider", s.Type))
}

// toolResult adds a tool message. It returns the parts that are not text, for the
// user message that follows.
func (t *toChat) toolResult(b *inBlock, at string) (shown []part, err error) {
	inner, err := blocksOf(b.Content, at+".content")
	if err != nil {
		return nil, err
	}
	id, _ := t.ownID(b.ToolUseID)
	var texts []jsonscan.String
	inner = withReferences(inner)
	for k := range inner {
		parts, err := t.parts(&inner[k], fmt.Sprintf("%s.content[%d]", at, k))
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if p.text.Absent() {
				shown = append(shown, p)
			} else {
				texts = append(texts, p.text.String())
			}
		}
	}
	content := jsonscan.Lit(`""`)
	if len(texts) > 0 {
		content = jsonscan.Join("\n", texts...)
	}
	if len(shown) > 0 {
		shown = append([]part{{text: text("What the tool call " + id + " returned:")}}, shown...)
		if content.String().Empty() {
			content = text("The result is shown in the next message.")
		}
	}
	if s := content.String(); b.IsError && !beginsWithError(s) && !bytes.Contains(s, []byte("<tool_use_error>")) {
		if content = text("Error"); !s.Empty() { // chat completions have no other place for it
			content = jsonscan.Join(": ", content.String(), s)
		}
	}
	o := jsonscan.Obj(member("role", text("tool")), member("tool_call_id", text(id)), member("content", content))
	if t.up.Takes(openai.CacheControl) && b.Cache.Set() {
		o.Put("cache_control", b.Cache.Compact())
	}
	t.messages = append(t.messages, o)
	return shown, nil
}

// withReferences replaces the tools that a search for tools found by one line of
// text. For Claude a result contains their descriptions; other models already have
// these.
func withReferences(blocks []inBlock) []inBlock {
	var names []string
	kept := make([]inBlock, 0, len(blocks)+1)
	for i := range blocks {
		if blocks[i].Type == "tool_reference" {
			names = append(names, blocks[i].ToolName)
		} else {
			kept = append(kept, blocks[i])
		}
	}
	if names == nil {
		return blocks
	}
	return append(kept, inBlock{Type: "text", Text: jsonscan.Quote("Tools that can be called now: " + strings.Join(names, ", "))})
}

func beginsWithError(s jsonscan.String) bool {
	const word = "error"
	return len(s) > len(word)+1 && strings.EqualFold(string(s[1:1+len(word)]), word)
}

// serverSide are the blocks of tools that Anthropic runs itself. Their results are
// in the text that follows them.
var serverSide = []string{
	"server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
	"bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
	"mcp_tool_use", "mcp_tool_result", "container_upload", "compaction",
}
