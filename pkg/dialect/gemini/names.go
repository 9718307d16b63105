package gemini

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxName is the longest function name that every version of the API accepts.
const maxName = 64

// toolNames maps the replaced names of functions to the names that Gemini refuses.
// Gemini's names begin with a letter or an underscore, followed by letters, digits
// and _.:-, at most 64 in total
// (https://ai.google.dev/api/caching#FunctionDeclaration).
type toolNames map[string]string

// send returns the name of a function in a request. It is always the same for a
// function, and no two functions share one.
func (n *toolNames) send(name string) string {
	if nameFits(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	sent := strings.Map(func(r rune) rune {
		if r < 128 && nameByte(byte(r)) {
			return r
		}
		return '_'
	}, name)
	if !letter(sent[0]) {
		sent = "_" + sent
	}
	sent = sent[:min(len(sent), maxName-9)] + "_" + hex.EncodeToString(sum[:4])
	if *n == nil {
		*n = toolNames{}
	}
	(*n)[sent] = name
	return sent
}

// original returns the client's own name of a function.
func (n toolNames) original(sent string) string {
	if name, ok := n[sent]; ok {
		return name
	}
	return sent
}

func nameFits(name string) bool {
	if name == "" || len(name) > maxName || !letter(name[0]) {
		return false
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

func nameByte(c byte) bool {
	return letter(c) || '0' <= c && c <= '9' || c == '.' || c == ':' || c == '-'
}
