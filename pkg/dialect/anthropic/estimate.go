package anthropic

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// What an estimate counts for things that are not text: Anthropic's own rule of
// thumb for an image (its width times its height over 750, at most about 1600),
// the prompt that tools add, and the frame of each turn.
const (
	imageTokens = 1600
	toolsPrompt = 350
	turnTokens  = 4
	charsPer4   = 14 // four tokens are about so many characters of English and code
)

// EstimateTokens estimates the input tokens of a Messages request, for
// POST /v1/messages/count_tokens of a model that has no counter of its own. It
// errs on the high side. The error is fault.Invalid.
func EstimateTokens(body []byte) (int, error) {
	var req struct {
		System   any             `json:"system"`
		Messages []inCounted     `json:"messages"`
		Tools    json.RawMessage `json:"tools"`
	}
	if err := decode(body, &req, "Messages"); err != nil {
		return 0, err
	}
	if req.Messages == nil {
		return 0, &fault.Error{Kind: fault.Invalid, Param: "messages", Message: "messages is missing"}
	}
	c := counter{}
	c.value(req.System)
	for _, m := range req.Messages {
		c.tokens += turnTokens
		c.value(m.Content)
	}
	if rawjson.Set(req.Tools) != nil && string(rawjson.Compact(req.Tools)) != "[]" {
		c.tokens += toolsPrompt
		c.chars += len(rawjson.Compact(req.Tools))
	}
	return c.tokens + (c.chars*4+charsPer4-1)/charsPer4, nil
}

type inCounted struct {
	Content any `json:"content"`
}

type counter struct{ tokens, chars int }

// value counts the text in a value, whatever its block; media by their kind.
func (c *counter) value(v any) {
	switch v := v.(type) {
	case string:
		c.text(v)
	case []any:
		for _, e := range v {
			c.value(e)
		}
	case map[string]any:
		kind, _ := v["type"].(string)
		if source, ok := v["source"].(map[string]any); ok && c.media(kind, source) {
			return
		}
		for name, e := range v {
			switch name {
			case "type", "id", "tool_use_id", "cache_control", "signature", "data":
			default:
				c.value(e)
			}
		}
	case float64, bool:
		c.chars += 4
	}
}

// media counts an image or a document that is no text.
func (c *counter) media(kind string, source map[string]any) bool {
	form, _ := source["type"].(string)
	data, _ := source["data"].(string)
	switch {
	case form == "text":
		c.text(data)
	case form == "content":
		return false
	case kind == "document":
		c.tokens += imageTokens + len(data)/32 // a page of a PDF is some 50 kB and 2000 tokens
	default:
		c.tokens += imageTokens
	}
	return true
}

// text counts characters; those beyond Latin scripts are about a token each.
func (c *counter) text(s string) {
	for _, r := range s {
		if r < 0x250 {
			c.chars++
		} else {
			c.tokens++
		}
	}
}
