package gemini

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// perMedia is what Gemini counts for a small image
// (https://ai.google.dev/gemini-api/docs/tokens).
const perMedia = 258

// CountTokens answers a countTokens request by an estimate: a token for every
// four characters of text, schemas included, and 258 for each image or other
// file. An error is fault.Invalid.
func CountTokens(body []byte) ([]byte, error) {
	body = camel(body)
	var req struct {
		Contents json.RawMessage `json:"contents"`
		Generate json.RawMessage `json:"generateContentRequest"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
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

func weigh(raw json.RawMessage, depth int) (characters, media int) {
	if depth > 64 {
		return len(raw), 0
	}
	if list, ok := rawjson.Members(raw); ok {
		for _, m := range list {
			switch m.Name {
			case "inlineData", "fileData":
				media++
				continue
			case "role", "model", "thoughtSignature", "generationConfig", "safetySettings":
				continue
			case "parameters", "parametersJsonSchema", "args", "response":
				characters += len(rawjson.Compact(m.Value))
				continue
			}
			c, n := weigh(m.Value, depth+1)
			characters, media = characters+c, media+n
		}
		return characters, media
	}
	if list, ok := rawjson.Elements(raw); ok {
		for _, one := range list {
			c, n := weigh(one, depth+1)
			characters, media = characters+c, media+n
		}
		return characters, media
	}
	if s, ok := rawjson.Text(raw); ok {
		return utf8.RuneCountInString(s), 0
	}
	return 0, 0
}
