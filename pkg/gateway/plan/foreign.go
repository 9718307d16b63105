package plan

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// withoutForeignThinking gives the edits that take out of a conversation, on its way
// to a provider in the caller's own dialect, what Hostless put into it while another
// provider's model answered. What is taken out is named in the answer.
func (r *Request) withoutForeignThinking(p *Plan) (edits []jsonscan.Edit) {
	data, turns := r.Envelope.Bytes(), r.Envelope.Turns()
	switch {
	case r.Matched.Dialect == dialect.Anthropic:
		// Others that speak Messages hold no signature against their own.
		strict := p.To.Provider.Primary() == dialect.Anthropic || strings.Contains(p.To.Model, "claude")
		edits, r.Ignored = anthropic.Foreign(data, turns, strict)
	case r.Matched.Dialect == dialect.Responses:
		edits, r.Ignored = responses.Foreign(data, turns)
	}
	return edits
}

// withoutForeignSignatures is the body of a request in Gemini's dialect, as
// withoutForeignThinking is of others.
func (r *Request) withoutForeignSignatures() []byte {
	if r.Matched.Dialect != dialect.Gemini || !r.BodyRead {
		return r.Call.Body
	}
	edits, ignored := gemini.Foreign(r.Call.Body)
	r.Ignored = ignored
	return jsonscan.Apply(r.Call.Body, edits)
}
