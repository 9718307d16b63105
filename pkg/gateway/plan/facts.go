package plan

import (
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// maxFact bounds the value of an attribute's header.
const maxFact = 128

// SetFacts puts into the header of a request to a provider what the settings have it told:
// the attributes of the provider, and the request's own span where its caller named a
// trace. What a caller sends in an attribute's header does not go up: it could pass for
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

// fact is what an attribute tells; "" is nothing. A token that no run holds is its app.
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

// factValue is a text as the value of a header: visible ASCII, cut.
func factValue(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '_'
		}
		return c
	}, text)
	return strings.TrimSpace(text[:min(len(text), maxFact)])
}
