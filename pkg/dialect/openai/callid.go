package openai

import (
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// shortID is the exact length of Mistral's tool call ids, which consist of letters
// and digits.
const shortID = 9

var mistrals = []string{"mistral", "mixtral", "codestral", "magistral", "pixtral", "devstral", "voxtral"}

// NineCharacterIDs reports whether tool call ids must be in Mistral's format: at
// Mistral, and for its models at other providers, whose chat templates check it.
func NineCharacterIDs(provider, model string) bool {
	base := strings.ToLower(model)
	return provider == "mistral" || slices.ContainsFunc(mistrals, func(name string) bool { return strings.Contains(base, name) }) || strings.HasPrefix(base, "ministral")
}

// shortCallID returns an id in Mistral's format: the id itself if it fits, and
// otherwise a hash of it, which is always the same.
func shortCallID(id string) string {
	if fitsShort(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	text := new(big.Int).SetBytes(sum[:]).Text(62)
	return text[len(text)-shortID:]
}

func fitsShort(id string) bool {
	return len(id) == shortID && strings.IndexFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// ShortCallIDs returns messages whose calls and results have ids in Mistral's
// format. ok is false if all of them already have.
func ShortCallIDs(list jsonscan.Value) (out jsonscan.Value, ok bool) {
	var messages []jsonscan.Value
	for _, m := range list.Elements() {
		if m.Kind() == '{' {
			if id := m.Get("tool_call_id").String(); id != nil && !fitsShort(id.Text()) {
				m, ok = replaced(m, "tool_call_id", jsonscan.Quoted(shortCallID(id.Text()))), true
			}
			if calls, changed := shortCalls(m.Get("tool_calls")); changed {
				m, ok = replaced(m, "tool_calls", calls), true
			}
		}
		messages = append(messages, m)
	}
	if !ok {
		return list, false
	}
	return jsonscan.Arr(messages), true
}

func shortCalls(list jsonscan.Value) (out jsonscan.Value, ok bool) {
	var calls []jsonscan.Value
	for _, call := range list.Elements() {
		if call.Kind() == '{' {
			if id := call.Get("id").String(); id != nil && !fitsShort(id.Text()) {
				call, ok = replaced(call, "id", jsonscan.Quoted(shortCallID(id.Text()))), true
			}
		}
		calls = append(calls, call)
	}
	return jsonscan.Arr(calls), ok
}
