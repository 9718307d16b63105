package plan

import (
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// maxAttribute limits the length of an attribute's header value.
const maxAttribute = 128

// SetAttributes sets the headers that the settings add to requests for a provider: its
// attributes and, if the caller sent a traceparent, the span of this call. A header that is
// used for an attribute is never forwarded from the caller, which could otherwise pass for
// another app.
func (r *Request) SetAttributes(provider string, header http.Header) {
	for name, field := range r.Settings.Attributes[provider] {
		field = http.CanonicalHeaderKey(field)
		delete(header, field)
		if v := attributeValue(r.attribute(name)); v != "" {
			header[field] = []string{v}
		}
	}
	if sent := header["Traceparent"]; r.Settings.Trace && len(sent) == 1 {
		if trace := pipeline.TraceOf(r.Call.ID, sent[0]); trace.Called() {
			header["Traceparent"] = []string{trace.Traceparent()}
		}
	}
}

// attribute returns the value of an attribute, or "". The app of a token that does not
// belong to a run is the name of the token.
func (r *Request) attribute(name string) string {
	grant := r.Call.Grant
	switch {
	case name == "request":
		return r.Call.ID
	case grant == nil:
		return ""
	case name == "app" && grant.Run() != "":
		return grant.Run()
	case name == "app", name == "token":
		return grant.Name()
	}
	return ""
}

// attributeValue converts text to a header value: printable ASCII of limited length.
func attributeValue(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '_'
		}
		return c
	}, text)
	return strings.TrimSpace(text[:min(len(text), maxAttribute)])
}
