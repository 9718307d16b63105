package anthropic

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

var errNoObject = errors.New("not a JSON object")

// isObject reports whether raw is a valid JSON object.
func isObject(raw []byte) bool { return rawjson.IsObject(raw) && json.Valid(raw) }

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// decode reads a request's body into v.
func decode(body []byte, v any, what string) error {
	if b := bytes.TrimLeft(body, " \n\r\t"); len(b) == 0 || b[0] != '{' {
		return &fault.Error{Kind: fault.Invalid, Message: "the request body is not a JSON object"}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return dialect.Unreadable(what, err)
	}
	return nil
}

// notes gathers the names of fields that were dropped.
type notes struct{ names []string }

func (n *notes) ignore(name string) { n.names = dialect.Ignore(n.names, name) }
