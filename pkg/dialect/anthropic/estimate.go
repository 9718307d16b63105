package anthropic

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Parameters of an estimate: Anthropic's rule of thumb for an image (width times
// height over 750, at most about 1600), the prompt that tools add, and the overhead
// of each turn.
const (
	imageTokens = 1600
	toolsPrompt = 350
	turnTokens  = 4
	charsPer4   = 14 // four tokens are about this many characters of English and code
)

// EstimateTokens estimates the input tokens of a Messages request, for POST
// /v1/messages/count_tokens with a model that has no counter of its own. It rather
// overestimates. The error is fault.Invalid.
func EstimateTokens(body []byte) (int, error) {
	var req struct {
		System   jsonscan.Value  `json:"system"`
		Messages []inMessage     `json:"messages"`
		Tools    json.RawMessage `json:"tools"`
	}
	if err := decode(jsonscan.Raw(body), &req, "Messages"); err != nil {
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
	if tools := jsonscan.Compact(rawjson.Set(req.Tools)); len(tools) > len("[]") {
		c.tokens += toolsPrompt
		c.chars += len(tools)
	}
	return c.tokens + (c.chars*4+charsPer4-1)/charsPer4, nil
}

type counter struct{ tokens, chars int }

// value counts the text in a value, whatever its block, and media by their kind.
func (c *counter) value(v jsonscan.Value) {
	switch v.Kind() {
	case '"':
		c.text(v.String())
	case '[':
		for _, e := range v.Elements() {
			c.value(e)
		}
	case '{':
		if source := v.Get("source"); source.Kind() == '{' && c.media(v.Get("type").String().Text(), source) {
			return
		}
		for name, e := range v.Members() {
			switch name {
			case "type", "id", "tool_use_id", "cache_control", "signature", "data":
			default:
				c.value(e)
			}
		}
	case '0', 't', 'f':
		c.chars += 4
	}
}

// media counts an image, or a document that is not text.
func (c *counter) media(kind string, source jsonscan.Value) bool {
	data := source.Get("data").String()
	switch form := source.Get("type").String().Text(); {
	case form == "text":
		c.text(data)
	case form == "content":
		return false
	case kind == "document":
		c.tokens += imageTokens + len(data)/32 // a page of a PDF is about 50 kB and 2000 tokens
	default:
		c.tokens += imageTokens
	}
	return true
}

// text counts characters; one beyond the Latin scripts is about a token.
func (c *counter) text(s jsonscan.String) {
	text, _ := jsonscan.Unquote(s)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if text = text[size:]; r < 0x250 {
			c.chars++
		} else {
			c.tokens++
		}
	}
}
