package dialect

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// Invalid is the fault of a request whose param cannot be carried over; message
// is the reason.
func Invalid(param, message string) error {
	return &fault.Error{Kind: fault.Invalid, Message: message, Param: param}
}

// Broken is the fault of a stream that did not come to its end: the one in cause,
// which may say why (a token was revoked), else one of the upstream. What is not
// made to be shown is not.
func Broken(cause error) *fault.Error {
	var f *fault.Error
	if errors.As(cause, &f) {
		return f
	}
	return &fault.Error{Kind: fault.Upstream, Message: "the provider's stream broke off before its end", Err: cause}
}

// Unreadable is the fault of a body that encoding/json could not read as the
// request that it ought to be, as in "generateContent".
func Unreadable(what string, err error) error {
	f := &fault.Error{Kind: fault.Invalid, Message: "the request body is not a valid " + what + " request: " + Why(err), Err: err}
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		f.Param = te.Field
	}
	return f
}

// Why words an error of encoding/json for the caller, without the names that
// things have in the code.
func Why(err error) string {
	var te *json.UnmarshalTypeError
	if !errors.As(err, &te) {
		return err.Error()
	}
	name, article := te.Field, "a "
	if name == "" {
		name = "it"
	}
	if te.Value == "array" || te.Value == "object" {
		article = "an "
	}
	return name + " cannot be " + article + te.Value
}

// maxIgnored bounds how many dropped fields are named: their names are the
// caller's, who may send any number.
const maxIgnored = 128

// Ignore adds the name of a field that was dropped to those of Call.Ignored.
func Ignore(names []string, name string) []string {
	if len(names) >= maxIgnored || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
