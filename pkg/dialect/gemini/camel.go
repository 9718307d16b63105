package gemini

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// opaque are members whose insides are the caller's own words.
var opaque = []string{
	"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "_responseJsonSchema", "labels",
}

var snake = regexp.MustCompile(`"[a-z]+_[a-z_]*"\s*:`)

// camel renames snake_case members to the API's camelCase; protocol buffers'
// JSON takes both, and so do Gemini's clients.
func camel(raw json.RawMessage) json.RawMessage {
	if !snake.Match(raw) {
		return raw
	}
	return rename(raw, 0)
}

func rename(raw json.RawMessage, depth int) json.RawMessage {
	if depth > 32 {
		return raw
	}
	if list, ok := rawjson.Members(raw); ok {
		for i := range list {
			list[i].Name = camelName(list[i].Name)
			if !slices.Contains(opaque, list[i].Name) {
				list[i].Value = rename(list[i].Value, depth+1)
			}
		}
		return list.JSON()
	}
	if list, ok := rawjson.Elements(raw); ok {
		for i := range list {
			list[i] = rename(list[i], depth+1)
		}
		return rawjson.Array(list)
	}
	return raw
}

func camelName(name string) string {
	words := strings.Split(name, "_")
	if words[0] == "" {
		return name
	}
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
