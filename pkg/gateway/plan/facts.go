package plan

import (
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// maxFact limits the length of an attribute's header value.
const maxFact = 128

// SetFacts sets the headers that the settings add to requests for a provider: its
// attributes and, if the caller sent a traceparent, the span of this call. A header that is
// used for an attribute is never forwarded from the caller, which could otherwise pass for
// another app.
func (r *Request) SetFacts(provider string, header http.Header) {
	for name, field := range r.Settings.Attributes[provider] {
		field = http.CanonicalHeaderKey(field)
		delete(header, field)
		if v := factValue(r.fact(name)); v != "" {
			header[field] = []string{v}
		}
	}
	if sent := header["Traceparent"]; r.Settings.Trace && len(sent) == 1 {
		if trace := pipeline.TraceOf(r.Call.ID, sent[0]); trace.Called() {
			header["Traceparent"] = []string{trace.Traceparent()}
		}
	}
}

// fact returns the value of an attribute, or "". The app of a token that does not belong to
// a run is the name of the token.
func (r *Request) fact(name string) string {
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

// factValue converts text to a header value: printable ASCII of limited length.
func factValue(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '_'
		}
		return c
	}, text)
	return strings.TrimSpace(text[:min(len(text), maxFact)])
}
