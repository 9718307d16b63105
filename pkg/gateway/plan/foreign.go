package plan

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// withoutForeignThinking returns the edits that remove thinking of another provider's model
// from the history of a request in the caller's own dialect. Hostless had added it to the
// responses of that model. The removed parts are listed in r.Ignored.
func (r *Request) withoutForeignThinking(p *Plan) (edits []jsonscan.Edit) {
	data, turns := r.Envelope.Bytes(), r.Envelope.Turns()
	switch {
	case r.Matched.Dialect == dialect.Anthropic:
		// Other providers with the Messages API do not refuse foreign signatures.
		strict := p.To.Provider.Primary() == dialect.Anthropic || strings.Contains(p.To.Model, "claude")
		edits, r.Ignored = anthropic.Foreign(data, turns, strict)
	case r.Matched.Kind == endpoint.Chat:
		edits, r.Ignored = openai.Foreign(data, turns, p.To.Provider.Name, p.To.Provider.ChatFacts())
	case r.Matched.Dialect == dialect.Responses:
		edits, r.Ignored = responses.Foreign(data, turns)
	}
	return edits
}

// geminiBody returns the body of a request in Gemini's dialect, without the signatures of
// another provider's models (see withoutForeignThinking). If the body repeats the model of
// the path, it is replaced by the candidate's.
func (r *Request) geminiBody(p *Plan) []byte {
	if r.Matched.Dialect != dialect.Gemini || !r.BodyRead {
		return r.Call.Body
	}
	edits, ignored := gemini.Foreign(r.Call.Body)
	r.Ignored = ignored
	if p.To.Model != r.Call.Model {
		edits = append(edits, renameModels(r.Call.Body, r.Call.Model, p.To.Model)...)
	}
	return jsonscan.Apply(r.Call.Body, edits)
}

// renameModels returns the edits that rename a model in a body of the Gemini API: the model
// of the body itself, of each request of a batch, and of a request whose tokens are
// counted.
func renameModels(data []byte, from, to string) (edits []jsonscan.Edit) {
	rename := func(at int, object []byte) {
		jsonscan.Object(object, func(key []byte, v jsonscan.Span) error {
			if string(key) != "model" {
				return nil
			}
			prefix := ""
			name, ok := jsonscan.Text(v.Of(object))
			if rest, prefixed := strings.CutPrefix(name, GeminiModels); prefixed {
				prefix, name = GeminiModels, rest
			}
			if ok && name == from {
				edits = append(edits, jsonscan.Edit{At: jsonscan.Span{Start: at + v.Start, End: at + v.End}, Text: jsonscan.Quote(prefix + to)})
			}
			return nil
		})
	}
	rename(0, data)
	jsonscan.Skim(data, func(key []byte, v jsonscan.Span) error {
		switch string(key) {
		case "requests":
			for _, at := range jsonscan.Spans(data, v) {
				rename(at.Start, at.Of(data))
			}
		case "generateContentRequest", "generate_content_request":
			rename(v.Start, v.Of(data))
		}
		return nil
	})
	return edits
}
