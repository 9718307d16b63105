package gemini

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// opaque are members whose contents belong to the client and are not renamed.
var opaque = []string{
	"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "_responseJsonSchema", "labels",
}

// camel renames snake_case members to the API's camelCase. The JSON mapping of
// protocol buffers accepts both, and Gemini's clients send both. It returns raw
// itself if there is no such member, or if raw is not JSON.
func camel(raw json.RawMessage) json.RawMessage {
	if !hasSnakeMember(raw) || !jsonscan.Valid(raw) {
		return raw
	}
	return appendCamel(make([]byte, 0, len(raw)), raw, 0)
}

// snakeNames are the names that camel has to rename: those of members that the
// package reads. Arguments of calls and schemas contain many other snake_case
// names.
var snakeNames = func() map[string]bool {
	names := map[string]bool{
		"function_declarations": true, "google_search": true, "google_search_retrieval": true, "enterprise_web_search": true, "url_context": true,
	}
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Slice, reflect.Pointer:
			add(t.Elem())
		case reflect.Struct:
			if t == reflect.TypeFor[jsonscan.Value]() {
				return
			}
			for i := range t.NumField() {
				f := t.Field(i)
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				names[snakeName(name)] = true
				add(f.Type)
			}
		}
	}
	for _, v := range []any{nativeRequest{}, nativeGeneration{}, nativeDeclaration{}, content{}, embedRequest{}, countRequest{}} {
		add(reflect.TypeOf(v))
	}
	names["generation_config"] = true
	return names
}()

func snakeName(camel string) string {
	var b []byte
	for _, c := range []byte(camel) {
		if 'A' <= c && c <= 'Z' {
			b = append(b, '_')
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}

// hasSnakeMember reports whether some member has one of the snakeNames. Text cannot
// contain anything that looks like a member, because quotes in it are escaped.
func hasSnakeMember(raw []byte) bool {
	for at := 0; ; at++ {
		i := bytes.IndexByte(raw[at:], '_')
		if i < 0 {
			return false
		}
		at += i
		start, end := at, at
		for start > 0 && isSnake(raw[start-1]) {
			start--
		}
		for end < len(raw) && isSnake(raw[end]) {
			end++
		}
		if start > 0 && raw[start-1] == '"' && end < len(raw) && raw[end] == '"' && snakeNames[string(raw[start:end])] {
			rest := bytes.TrimLeft(raw[end+1:], " \t\r\n")
			if len(rest) > 0 && rest[0] == ':' {
				return true
			}
		}
		at = max(at, end-1)
	}
}

func isSnake(c byte) bool { return 'a' <= c && c <= 'z' || c == '_' }

// camelDepth is how deep members are renamed. No request nests the relevant ones
// deeper.
const camelDepth = 32

// appendCamel copies raw with its members renamed, except within opaque members.
func appendCamel(b, raw []byte, depth int) []byte {
	if depth > camelDepth {
		return append(b, raw...)
	}
	switch jsonscan.KindOf(raw) {
	case '{':
		b = append(b, '{')
		first := true
		for name, value := range jsonscan.Members(raw) {
			if !first {
				b = append(b, ',')
			}
			first = false
			renamed := camelName(string(name))
			b = append(jsonscan.AppendQuote(b, renamed), ':')
			if slices.Contains(opaque, renamed) {
				b = append(b, value...)
			} else {
				b = appendCamel(b, value, depth+1)
			}
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, value := range jsonscan.Elements(raw) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCamel(b, value, depth+1)
		}
		return append(b, ']')
	}
	return append(b, raw...)
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
