// Package reference owns keys that are held elsewhere: the syntax of references such as
// op://vault/item/field, the programs that resolve them, and the resolved values, which
// are only in memory.
//
// Package keys stores references; package gateway uses the keys.
package reference

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"

	"github.com/hostless/hostless/pkg/fault"
)

// Forms lists the valid references, for help and errors.
const Forms = "op://VAULT/ITEM/FIELD, bw://ID/FIELD, pass://PATH, keyring://SERVICE/ACCOUNT, env://NAME, file:///PATH or cmd://NAME"

// Reference is a parsed reference. The zero value is no reference.
type Reference struct {
	scheme string
	parts  []string // arguments for the scheme's program
	text   string
}

// String returns the reference as it was written.
func (r Reference) String() string { return r.text }

// Command returns the NAME of a cmd:// reference, or else "".
func (r Reference) Command() string {
	if r.scheme != "cmd" {
		return ""
	}
	return r.parts[0]
}

// maxText is the maximum length of a reference.
const maxText = 512

var (
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	commandName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
)

// ValidCommand returns an error unless name is valid for a declared command.
func ValidCommand(name string) error {
	if commandName.MatchString(name) {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Message: "a command's name must be lower-case letters, digits, - and _", Param: "name"}
}

// Parse parses a reference. The error is fault.Invalid and lists the valid forms.
func Parse(text string) (Reference, error) {
	bad := func(why string) (Reference, error) {
		return Reference{}, &fault.Error{Kind: fault.Invalid, Message: "the reference " + why + ": it is " + Forms, Param: "reference"}
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return bad("has no scheme")
	}
	if len(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
		return bad("is too long or contains control characters")
	}
	ref := Reference{scheme: scheme, text: text}
	segments := strings.Split(rest, "/")
	for _, s := range segments {
		if scheme != "file" && (s == "" || s == ".." || s == "." || strings.HasPrefix(s, "-")) {
			return bad("has a part that is empty or begins with -")
		}
	}
	switch scheme {
	case "op":
		if len(segments) < 3 || len(segments) > 4 {
			return bad("does not name a vault, item and field")
		}
		ref.parts = []string{text}
	case "bw":
		if len(segments) != 2 {
			return bad("does not name an id and field")
		}
		ref.parts = segments
	case "pass":
		ref.parts = []string{rest}
	case "keyring":
		if len(segments) != 2 {
			return bad("does not name a service and account")
		}
		ref.parts = segments
	case "env":
		if !envName.MatchString(rest) {
			return bad("names no environment variable")
		}
		ref.parts = []string{rest}
	case "file":
		if !path.IsAbs(rest) || path.Clean(rest) != rest {
			return bad("does not name a file by its absolute path")
		}
		ref.parts = []string{rest}
	case "cmd":
		if !commandName.MatchString(rest) {
			return bad("names no declared command")
		}
		ref.parts = []string{rest}
	default:
		return bad(fmt.Sprintf("has the scheme %.20q", scheme))
	}
	return ref, nil
}
