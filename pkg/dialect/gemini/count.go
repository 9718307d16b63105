package gemini

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// perMedia is Gemini's token count for a small image
// (https://ai.google.dev/gemini-api/docs/tokens).
const perMedia = 258

// countRequest is a CountTokensRequest.
type countRequest struct {
	Contents json.RawMessage `json:"contents"`
	Generate json.RawMessage `json:"generateContentRequest"`
}

// CountTokens answers a countTokens request with an estimate: one token for four
// characters of text, schemas included, and 258 for each image or other file. The
// error is fault.Invalid.
func CountTokens(body []byte) ([]byte, error) {
	body = camel(body)
	var req countRequest
	if err := jsonscan.Decode(body, &req); err != nil {
		return nil, dialect.Unreadable("countTokens", err)
	}
	counted := rawjson.Set(req.Contents)
	if inner := rawjson.Set(req.Generate); inner != nil {
		counted = inner
	}
	if counted == nil {
		return nil, dialect.Invalid("contents", "contents are missing")
	}
	characters, media := weigh(counted, 0)
	total := strconv.AppendInt([]byte(`{"totalTokens":`), int64((characters+3)/4+media*perMedia), 10)
	return append(total, '}'), nil
}

// CountToChat returns the translator from a countTokens request to a chat completion.
func CountToChat(o Options) dialect.Translator {
	whole := ToChat(o)
	return func(in dialect.Request) (*dialect.Call, error) {
		var req countRequest
		if err := jsonscan.Decode(camel(in.JSON()), &req); err != nil {
			return nil, dialect.Unreadable("countTokens", err)
		}
		if inner := rawjson.Set(req.Generate); inner != nil {
			in.Body = inner
		}
		return whole(in)
	}
}

// weigh counts the characters and the media in a value.
func weigh(raw json.RawMessage, depth int) (characters, media int) {
	if depth > 64 {
		return len(raw), 0
	}
	switch jsonscan.KindOf(raw) {
	case '{':
		for name, value := range jsonscan.Members(raw) {
			switch string(name) {
			case "inlineData", "fileData":
				media++
			case "role", "model", "thoughtSignature", "generationConfig", "safetySettings":
			case "parameters", "parametersJsonSchema", "args", "response":
				characters += len(jsonscan.Compact(value))
			default:
				c, n := weigh(value, depth+1)
				characters, media = characters+c, media+n
			}
		}
	case '[':
		for _, one := range jsonscan.Elements(raw) {
			c, n := weigh(one, depth+1)
			characters, media = characters+c, media+n
		}
	case '"':
		text, _ := jsonscan.Unquote(raw)
		characters = utf8.RuneCount(text)
	}
	return characters, media
}
