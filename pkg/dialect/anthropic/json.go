package anthropic

import (
	"errors"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

var errNoObject = errors.New("not a JSON object")

// isObject reports whether raw is a valid JSON object.
func isObject(raw []byte) bool { return jsonscan.KindOf(raw) == '{' && jsonscan.Valid(raw) }

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// decode reads a request body into v.
func decode(body jsonscan.Value, v any, what string) error {
	if body.Kind() != '{' {
		return &fault.Error{Kind: fault.Invalid, Message: "the request body is not a JSON object"}
	}
	if err := body.Decode(v); err != nil {
		return dialect.Unreadable(what, err)
	}
	return nil
}

// notes collects the names of dropped fields.
type notes struct{ names []string }

func (n *notes) ignore(name string) { n.names = dialect.Ignore(n.names, name) }

// ignoreRest notes the fields that no translation reads, except for the named ones.
func (n *notes) ignoreRest(rest []jsonscan.Field, except []string) {
	var names []string
	for _, f := range rest {
		if f.Value.Set() && !slices.Contains(except, f.Name) {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		n.ignore(name)
	}
}

// member returns a member of an object to be written.
func member(name string, value jsonscan.Value) jsonscan.Field {
	return jsonscan.Field{Name: name, Value: value}
}

// text returns a string of the program, or of a decoded field, to be written.
func text(s string) jsonscan.Value { return jsonscan.Quoted(s) }
