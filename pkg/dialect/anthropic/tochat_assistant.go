package anthropic

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// ownID returns the original id of a call, and the thought signature in it.
func (t *toChat) ownID(id string) (own, thought string) {
	own, thought, _ = strings.Cut(ownID(id), thoughtMark)
	return own, thought
}

func (t *toChat) assistant(blocks []inBlock, at string) error {
	var details, calls []jsonscan.Value
	var parts []part
	var texts, thoughts []jsonscan.String
	marked := false
	for j := range blocks {
		b, where := &blocks[j], fmt.Sprintf("%s[%d]", at, j)
		switch {
		case b.Type == "text":
			if b.Text.Empty() {
				continue
			}
			p := textPart(b.Text)
			t.setCache(&p, b.Cache)
			texts, parts = append(texts, b.Text), append(parts, p)
			marked = marked || p.cache.Set()
		case b.Type == "thinking":
			if !b.Thinking.Empty() {
				thoughts = append(thoughts, b.Thinking)
			}
			details = append(details, thinkingDetail(b))
		case b.Type == "redacted_thinking":
			if d := redactedDetail(b.Data); d.Set() {
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
		default: // newer than this translation: the conversation goes on without it
			t.ignore("messages." + b.Type)
		}
	}
	if len(texts) == 0 && len(calls) == 0 {
		return nil // a message with only thinking is not accepted by chat providers
	}
	content := jsonscan.Lit("null")
	switch {
	case marked:
		content = valuesOf(parts)
	case len(texts) > 0:
		content = jsonscan.Join("", texts...)
	}
	o := jsonscan.Obj(member("role", text("assistant")), member("content", content))
	if t.up.Takes(openai.ReasoningContent) && len(thoughts) > 0 {
		o.Put("reasoning_content", jsonscan.Join("", thoughts...))
	}
	if t.up.Takes(openai.ReasoningDetails) && len(details) > 0 {
		list := jsonscan.Arr(details)
		if t.ownDetails() {
			list = openai.OwnDetails(list)
		}
		o.Put("reasoning_details", list)
	}
	if len(calls) > 0 {
		o.Put("tool_calls", jsonscan.Arr(calls))
	}
	t.messages = append(t.messages, o)
	return nil
}

// thinkingDetail returns the entry of the intermediate form for a block of
// thinking.
func thinkingDetail(b *inBlock) jsonscan.Value {
	o := jsonscan.Obj(member("type", jsonscan.Lit(`"thinking"`)), member("text", orEmpty(b.Thinking)))
	if !b.Signature.Empty() && !b.Signature.HasPrefix(sealedPrefix) {
		o.Put("signature", jsonscan.Str(b.Signature))
	}
	return o
}

// redactedDetail reverses sealedDetail, or keeps Anthropic's own data. The value is
// absent if data is neither.
func redactedDetail(data jsonscan.String) jsonscan.Value {
	if data.HasPrefix(sealedPrefix) {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(data.Text(), sealedPrefix))
		if err != nil || !isObject(raw) {
			return jsonscan.Value{}
		}
		return jsonscan.Raw(raw).Compact()
	}
	return jsonscan.Obj(member("type", jsonscan.Lit(`"redacted"`)), member("data", orEmpty(data)))
}

func sealedDetail(raw []byte) string {
	return sealedPrefix + base64.StdEncoding.EncodeToString(jsonscan.Compact(raw))
}

func (t *toChat) toolCall(b *inBlock, at string) (jsonscan.Value, error) {
	arguments := jsonscan.Lit(`"{}"`)
	if b.Input.Set() {
		raw := b.Input.JSON()
		if b.Input.Kind() != '{' {
			raw = jsonscan.Obj(member("invalid_arguments", b.Input)).JSON()
			t.ignore("messages.tool_use.input")
		}
		arguments = jsonscan.Raw(jsonscan.AppendCompactQuoted(make([]byte, 0, len(raw)+len(raw)/8+16), raw))
	}
	id, thought := t.ownID(b.ID)
	call := jsonscan.Obj(
		member("id", text(id)), member("type", jsonscan.Lit(`"function"`)),
		member("function", jsonscan.Obj(member("name", text(t.shortName(b.Name))), member("arguments", arguments))))
	if thought != "" {
		call.Put("extra_content", jsonscan.Obj(member("google", jsonscan.Obj(member("thought_signature", text(thought))))))
	}
	return call, nil
}
