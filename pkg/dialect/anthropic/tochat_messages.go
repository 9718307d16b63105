package anthropic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

type inMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type inBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Source    json.RawMessage `json:"source"` // of an image or document; a search result's is a string
	Title     string          `json:"title"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
	IsError   bool            `json:"is_error"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	Data      string          `json:"data"`
	Cache     json.RawMessage `json:"cache_control"`
}

type inSource struct {
	Type      string          `json:"type"`
	MediaType string          `json:"media_type"`
	Data      string          `json:"data"`
	URL       string          `json:"url"`
	Content   json.RawMessage `json:"content"`
}

// sealed marks reasoning of another kind than Anthropic's, which travels through
// a Messages client as redacted thinking; it is not secret.
const sealed = "hostless1:"

// billing begins a line that Claude Code addresses to Anthropic's accounting. It
// differs from request to request, so that no prompt cache would ever hold.
const billing = "x-anthropic-billing-header:"

// blocksOf reads content that is a string or a list of blocks.
func blocksOf(raw json.RawMessage, at string) ([]inBlock, error) {
	if rawjson.Set(raw) == nil {
		return nil, nil
	}
	var text string
	if rawjson.IsString(raw) && json.Unmarshal(raw, &text) == nil {
		if text == "" {
			return nil, nil
		}
		return []inBlock{{Type: "text", Text: text}}, nil
	}
	var blocks []inBlock
	if err := json.Unmarshal(raw, &blocks); err != nil {
		return nil, dialect.Invalid(at, at+" must be a string or a list of content blocks")
	}
	return blocks, nil
}

func (t *toChat) messages() error {
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
	if len(t.chat) == 0 {
		return dialect.Invalid("messages", "messages must hold at least one message")
	}
	return nil
}

func (t *toChat) say(role string, content json.RawMessage) {
	var o rawjson.Object
	o.PutText("role", role)
	o.Put("content", content)
	t.chat = append(t.chat, o.JSON())
}

func (t *toChat) systemMessage(blocks []inBlock, at string) error {
	var parts []json.RawMessage
	var texts []string
	marked := false
	for j := range blocks {
		b := &blocks[j]
		if b.Type != "text" {
			return dialect.Invalid(fmt.Sprintf("%s[%d].type", at, j), "instructions can hold text only")
		}
		if b.Text == "" || strings.HasPrefix(b.Text, billing) {
			continue
		}
		parts, texts = append(parts, t.textPart(b)), append(texts, b.Text)
		marked = marked || t.up.Takes(openai.CacheControl) && rawjson.Set(b.Cache) != nil
	}
	switch {
	case len(texts) == 0:
	case marked:
		t.say("system", rawjson.Array(parts))
	default:
		t.say("system", rawjson.Quote(strings.Join(texts, "\n\n")))
	}
	return nil
}

// textPart makes chat's part of a text block, with its mark where the provider
// takes one.
func (t *toChat) textPart(b *inBlock) json.RawMessage {
	part := []json.RawMessage{textBlock(b.Text)}
	t.marked(part, b.Cache)
	return part[0]
}

func (t *toChat) marked(parts []json.RawMessage, cache json.RawMessage) {
	if t.up.Takes(openai.CacheControl) {
		mark(parts, cache)
	}
}

// plainest gives one unmarked text as a string, which every provider takes.
func plainest(parts []json.RawMessage) json.RawMessage {
	if len(parts) == 1 && bytes.HasPrefix(parts[0], []byte(`{"type":"text"`)) {
		if text, ok := strings.CutPrefix(string(parts[0]), `{"type":"text","text":`); ok {
			if text = strings.TrimSuffix(text, "}"); json.Valid([]byte(text)) {
				return json.RawMessage(text)
			}
		}
	}
	return rawjson.Array(parts)
}

// user splits a turn into tool messages and a user message behind them, which
// also shows the images that chat's tool messages cannot hold.
func (t *toChat) user(blocks []inBlock, at string) error {
	var parts, shown []json.RawMessage
	for j := range blocks {
		b, where := &blocks[j], fmt.Sprintf("%s[%d]", at, j)
		if b.Type == "tool_result" {
			more, err := t.result(b, where)
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
		t.marked(more, b.Cache)
		parts = append(parts, more...)
	}
	if parts = append(shown, parts...); len(parts) > 0 {
		t.say("user", plainest(parts))
	}
	return nil
}

// parts makes chat's content parts of a block.
func (t *toChat) parts(b *inBlock, at string) ([]json.RawMessage, error) {
	var s inSource
	if b.Type == "image" || b.Type == "document" {
		if err := json.Unmarshal(b.Source, &s); err != nil {
			return nil, dialect.Invalid(at+".source", "source must be an object")
		}
	}
	switch b.Type {
	case "text":
		if b.Text == "" {
			return nil, nil
		}
		return []json.RawMessage{textBlock(b.Text)}, nil
	case "image":
		switch s.Type {
		case "base64":
			return imagePart("data:" + s.MediaType + ";base64," + s.Data), nil
		case "url":
			return imagePart(s.URL), nil
		}
		return nil, dialect.Invalid(at+".source.type", fmt.Sprintf("an image's source of type %q cannot be used with this provider", s.Type))
	case "document":
		return t.document(b, &s, at)
	case "search_result":
		var source string
		json.Unmarshal(b.Source, &source)
		inner, err := blocksOf(b.Content, at+".content")
		if err != nil {
			return nil, err
		}
		text := b.Title + "\n" + source
		for _, c := range inner {
			text += "\n" + c.Text
		}
		return []json.RawMessage{textBlock(text)}, nil
	case "tool_reference":
		t.ignore(b.Type)
		return nil, nil
	}
	return nil, dialect.Invalid(at+".type", fmt.Sprintf("content blocks of type %q cannot be used with this provider", b.Type))
}

func imagePart(url string) []json.RawMessage {
	return []json.RawMessage{append(rawjson.AppendString([]byte(`{"type":"image_url","image_url":{"url":`), url), `}}`...)}
}

func (t *toChat) document(b *inBlock, s *inSource, at string) ([]json.RawMessage, error) {
	switch s.Type {
	case "base64":
		name := b.Title
		if name == "" {
			name = "document.pdf"
		}
		p := append(rawjson.AppendString([]byte(`{"type":"file","file":{"filename":`), name), `,"file_data":`...)
		p = append(rawjson.AppendString(p, "data:"+s.MediaType+";base64,"+s.Data), `}}`...)
		return []json.RawMessage{p}, nil
	case "text":
		text := s.Data
		if b.Title != "" {
			text = b.Title + "\n\n" + text
		}
		return []json.RawMessage{textBlock(text)}, nil
	case "content":
		inner, err := blocksOf(s.Content, at+".source.content")
		if err != nil {
			return nil, err
		}
		var parts []json.RawMessage
		if b.Title != "" {
			parts = append(parts, textBlock(b.Title))
		}
		for k := range inner {
			if inner[k].Type == "document" {
				return nil, dialect.Invalid(at+".source.content", "a document cannot hold another one")
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

// result makes a tool message; what of it is no text is for the user message
// that follows.
func (t *toChat) result(b *inBlock, at string) (shown []json.RawMessage, err error) {
	inner, err := blocksOf(b.Content, at+".content")
	if err != nil {
		return nil, err
	}
	id, _ := t.ownID(b.ToolUseID)
	var texts []string
	for k := range inner {
		parts, err := t.parts(&inner[k], fmt.Sprintf("%s.content[%d]", at, k))
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if text := plainest([]json.RawMessage{p}); text[0] == '"' {
				var s string
				json.Unmarshal(text, &s)
				texts = append(texts, s)
			} else {
				shown = append(shown, p)
			}
		}
	}
	text := strings.Join(texts, "\n")
	if len(shown) > 0 {
		shown = append([]json.RawMessage{textBlock("What the tool call " + id + " returned:")}, shown...)
		if text == "" {
			text = "The result is shown in the next message."
		}
	}
	if b.IsError && !strings.HasPrefix(strings.ToLower(text), "error") && !strings.Contains(text, "<tool_use_error>") {
		text = strings.TrimSuffix("Error: "+text, ": ") // chat has no other place for it
	}
	var o rawjson.Object
	o.PutText("role", "tool")
	o.PutText("tool_call_id", id)
	o.PutText("content", text)
	if t.up.Takes(openai.CacheControl) && rawjson.Set(b.Cache) != nil {
		o.Put("cache_control", rawjson.Compact(b.Cache))
	}
	t.chat = append(t.chat, o.JSON())
	return shown, nil
}

// ownID gives a call its id back, and the thought signature that came in it.
func (t *toChat) ownID(id string) (own, thought string) {
	own, thought, _ = strings.Cut(ownID(id), thoughtMark)
	return own, thought
}

// serverSide are blocks of tools that Anthropic runs itself. What they gave is
// in the text that follows them.
var serverSide = []string{
	"server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
	"bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
	"mcp_tool_use", "mcp_tool_result", "container_upload", "compaction",
}

func (t *toChat) assistant(blocks []inBlock, at string) error {
	var texts, details, calls []json.RawMessage
	var plain, thought strings.Builder
	marked := false
	for j := range blocks {
		b, where := &blocks[j], fmt.Sprintf("%s[%d]", at, j)
		switch {
		case b.Type == "text":
			if b.Text == "" {
				continue
			}
			plain.WriteString(b.Text)
			texts = append(texts, t.textPart(b))
			marked = marked || t.up.Takes(openai.CacheControl) && rawjson.Set(b.Cache) != nil
		case b.Type == "thinking":
			thought.WriteString(b.Thinking)
			details = append(details, t.thought(b))
		case b.Type == "redacted_thinking":
			if d := t.redacted(b.Data); d != nil {
				details = append(details, d)
			}
		case b.Type == "tool_use":
			call, err := t.toolCall(b, where)
			if err != nil {
				return err
			}
			calls = append(calls, call)
		case slices.Contains(serverSide, b.Type):
			t.ignore(b.Type)
		default:
			return dialect.Invalid(where+".type", fmt.Sprintf("an assistant's content block of type %q cannot be used with this provider", b.Type))
		}
	}
	if len(texts) == 0 && len(calls) == 0 {
		return nil // thinking alone is no turn that a chat provider takes
	}
	var o rawjson.Object
	o.PutText("role", "assistant")
	switch {
	case len(texts) == 0:
		o.Put("content", json.RawMessage("null"))
	case marked:
		o.Put("content", rawjson.Array(texts))
	default:
		o.PutText("content", plain.String())
	}
	if t.up.Takes(openai.ReasoningContent) && thought.Len() > 0 {
		o.PutText("reasoning_content", thought.String())
	}
	if t.up.Takes(openai.ReasoningDetails) && len(details) > 0 {
		list := rawjson.Array(details)
		if t.ownDetails() {
			list = openai.OwnDetails(list)
		}
		o.Put("reasoning_details", list)
	}
	if len(calls) > 0 {
		o.Put("tool_calls", rawjson.Array(calls))
	}
	t.chat = append(t.chat, o.JSON())
	return nil
}

func (t *toChat) thought(b *inBlock) json.RawMessage {
	return appendThinking(nil, b.Thinking, b.Signature)
}

// redacted takes apart what sealedDetail put together, or keeps Anthropic's own.
func (t *toChat) redacted(data string) json.RawMessage {
	if payload, ok := strings.CutPrefix(data, sealed); ok {
		raw, err := base64.StdEncoding.DecodeString(payload)
		if err != nil || !isObject(raw) {
			return nil
		}
		return rawjson.Compact(raw)
	}
	return appendRedacted(nil, data)
}

func sealedDetail(raw json.RawMessage) string {
	return sealed + base64.StdEncoding.EncodeToString(rawjson.Compact(raw))
}

func (t *toChat) toolCall(b *inBlock, at string) (json.RawMessage, error) {
	arguments := "{}"
	if rawjson.Set(b.Input) != nil {
		if !isObject(b.Input) {
			return nil, dialect.Invalid(at+".input", "input must be an object")
		}
		arguments = string(rawjson.Compact(b.Input))
	}
	id, thought := t.ownID(b.ID)
	call := json.RawMessage(appendCall(nil, -1, id, t.short(b.Name), arguments))
	if thought != "" {
		call = rawjson.AppendString(append(call[:len(call)-1], `,"extra_content":{"google":{"thought_signature":`...), thought)
		call = append(call, `}}}`...)
	}
	return call, nil
}
