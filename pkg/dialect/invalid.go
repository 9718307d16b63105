package dialect

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// Invalid returns the fault for a request that cannot be translated because of
// param. message is the reason.
func Invalid(param, message string) error {
	return &fault.Error{Kind: fault.Invalid, Message: message, Param: param}
}

// Broken returns the fault for a stream that was not complete: the fault in cause,
// which may give the reason (such as a revoked token), or one of the upstream. It
// does not show other errors.
func Broken(cause error) *fault.Error {
	var f *fault.Error
	if errors.As(cause, &f) {
		return f
	}
	return &fault.Error{Kind: fault.Upstream, Message: "the provider closed the stream before the response was complete", Err: cause}
}

// Unreadable returns the fault for a body that encoding/json could not decode as a
// request of the kind what, such as "generateContent".
func Unreadable(what string, err error) error {
	f := &fault.Error{Kind: fault.Invalid, Message: "the request body is not a valid " + what + " request: " + Why(err), Err: err}
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		f.Param = te.Field
	}
	return f
}

// Why words an error of encoding/json for the client, without names from the code.
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

// maxIgnored is how many dropped fields are reported, because clients choose their
// names and may send any number.
const maxIgnored = 128

// Ignore adds the name of a dropped field to the names in Call.Ignored.
func Ignore(names []string, name string) []string {
	if len(names) >= maxIgnored || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
