package keys

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/secret"
)

// Where an entry is stored.
const (
	StorageFile     = "file"
	StorageKeychain = "keychain"
)

// Entry is a stored key of a provider with its settings. An entry without a key, for a
// local server, has at least a base URL.
type Entry struct {
	Provider     string        // name in lower case
	Label        string        // distinguishes several keys of a provider; "" for the first
	Key          secret.String // empty if none is needed or it is not known
	Reference    string        // the place that holds the key, as in op://vault/item/field
	BaseURL      string        // "" means the catalogue's
	Dialect      string        // dialect of a custom provider: openai, anthropic, gemini or ""
	AllowPrivate bool          // allows a private address in the base URL
	Storage      string        // StorageFile or StorageKeychain
	Locked       bool          // Key is unknown: in a locked vault, or a reference while the keys are locked

	hint string // hint of a sealed key
}

// entryID identifies an entry.
type entryID struct{ provider, label string }

func (e Entry) id() entryID { return entryID{e.Provider, e.Label} }

// String returns the entry's name as shown to users.
func (k entryID) String() string {
	if k.label == "" {
		return k.provider
	}
	return k.provider + " (" + k.label + ")"
}

// sortedIDs returns the keys of m sorted by provider, then by label.
func sortedIDs[T any](m map[entryID]T) []entryID {
	return slices.SortedFunc(maps.Keys(m), func(a, b entryID) int {
		return cmp.Or(strings.Compare(a.provider, b.provider), strings.Compare(a.label, b.label))
	})
}

// HasKey reports whether the entry has a key or a reference to one.
func (e Entry) HasKey() bool {
	return e.Storage == StorageKeychain || !e.Key.IsZero() || e.Reference != ""
}

// Hint returns the last characters of a key that is long enough to show them, or else "".
func (e Entry) Hint() string {
	const long, tail = 20, 4
	if e.Key.IsZero() {
		return e.hint
	}
	key := e.Key.Reveal()
	if len(key) < long || !utf8.ValidString(key) {
		return ""
	}
	return key[len(key)-tail:]
}

// maxKey and maxURL are the maximum lengths of stored values.
const (
	maxKey = 16 << 10
	maxURL = 2048
)

// ValidProvider returns an error unless name is valid as a provider's name: at most 64
// lower-case letters, digits, `-` and `_`, beginning with a letter or digit, and with no
// `-` next to another `-` or `_`, which keys.env could not distinguish.
func ValidProvider(name string) error {
	ok := name != "" && len(name) <= 64 && name[0] != '-' && name[0] != '_'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	ok = ok && !strings.Contains(name, "--") && !strings.Contains(name, "-_") && !strings.Contains(name, "_-")
	if !ok {
		return &fault.Error{Kind: fault.Invalid, Message: "a provider's name must be lower-case letters and digits, with single - or _ between", Param: "provider"}
	}
	return nil
}

// ValidLabel returns an error unless label is valid: it has the form of a provider's
// name.
func ValidLabel(label string) error {
	if label == "" || ValidProvider(label) == nil && len(label) <= 32 {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Message: "a label must be at most 32 lower-case letters and digits, with single - or _ between", Param: "label"}
}

// validID returns an error unless an entry can have this name. A label after a name that
// ends in - would be ambiguous in the file.
func validID(k entryID) error {
	if err := ValidProvider(k.provider); err != nil {
		return err
	}
	if k.label != "" && strings.HasSuffix(k.provider, "-") {
		return &fault.Error{Kind: fault.Invalid, Message: "a provider whose name ends in - takes no labels", Param: "label"}
	}
	return ValidLabel(k.label)
}

// clean validates an entry before it is stored, and trims the white space around a pasted
// key.
func (e Entry) clean() (Entry, error) {
	if err := validID(e.id()); err != nil {
		return e, err
	}
	if e.Reference != "" {
		if _, err := reference.Parse(e.Reference); err != nil {
			return e, err
		}
	}
	key := strings.TrimSpace(e.Key.Reveal())
	switch {
	case len(key) > maxKey:
		return e, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the key is longer than %d bytes", maxKey), Param: "key"}
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return e, &fault.Error{Kind: fault.Invalid, Message: "the key contains line breaks or other control characters: give a single key", Param: "key"}
	case strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII }):
		return e, &fault.Error{Kind: fault.Invalid, Message: "the key contains characters that are not allowed in an HTTP header", Param: "key"}
	}
	e.Key = secret.New(key)
	e.BaseURL = strings.TrimSpace(e.BaseURL)
	if err := checkBaseURL(e.BaseURL); err != nil {
		return e, err
	}
	switch e.Dialect {
	case "", "openai", "anthropic", "gemini":
	default:
		return e, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("dialect %.40q is not one of openai, anthropic, gemini", e.Dialect), Param: "dialect"}
	}
	if e.Key.IsZero() && e.BaseURL == "" && e.Reference == "" {
		return e, &fault.Error{Kind: fault.Invalid, Message: "neither a key nor a base URL was given for " + e.Provider, Next: "hostless keys add " + e.Provider, Param: "key"}
	}
	return e, nil
}

func checkBaseURL(text string) error {
	if text == "" {
		return nil
	}
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "the base URL " + why, Param: "base_url"}
	}
	if len(text) > maxURL || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return bad("is too long or contains white space")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return bad("is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("must begin with https:// or http://")
	case u.Hostname() == "":
		return bad("has no host")
	case u.User != nil:
		return bad("must not contain a user or password: give the key separately")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return bad("must not have a query or fragment")
	}
	return nil
}
