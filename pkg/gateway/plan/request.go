package plan

import (
	"bytes"
	"net/http"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/provider"
)

// GeminiModels opens the name of a model as Gemini writes it in bodies.
const GeminiModels = "models/"

// Request is a call as it was parsed, with all that a request to a provider is made
// of. It belongs to one goroutine.
type Request struct {
	Planner  *Planner
	HTTP     *http.Request
	Matched  endpoint.Endpoint
	Settings Settings

	Call     pipeline.Call
	BodyRead bool       // Call.Body is the whole body
	Envelope *body.Body // of a JSON body that names a model, or nil
	Form     *body.Form // a multipart body, or nil
	Verb     string     // Gemini's, behind the model in the path
	Lease    body.Lease // of what the body takes up

	// Connection names the memory of the WebSocket that the request came over; ""
	// for none.
	Connection string

	// Set by Prepare.
	DropUsage bool     // the usage chunk is not the caller's
	Ignored   []string // what of the request was left out
}

// Limited is whether the token is limited to certain models.
func (r *Request) Limited() bool { return r.Call.Grant != nil && r.Call.Grant.Scope().LimitsModels() }

// Target is Planner.Target with the request's settings.
func (r *Request) Target(model string) (provider.Target, error) {
	return r.Planner.Target(model, r.Settings)
}

// CheckModels refuses, for a token that is limited to certain models, bodies that
// may mean another model than the one that is checked: a second `model` in other
// letters, or one within.
func (r *Request) CheckModels(b *body.Body) error {
	if !r.Limited() {
		return nil
	}
	return policy.Authorize(r.Call.Grant.Scope(), b, r.Target)
}

// CheckGemini refuses, for a token that is limited to certain models, a body that
// names another model than its path.
func (r *Request) CheckGemini(model string) error {
	if !r.Limited() || len(bytes.TrimSpace(r.Call.Body)) == 0 {
		return nil
	}
	b, err := body.Parse(r.Call.Body)
	if err != nil {
		return err
	}
	return policy.AuthorizeGemini(b, model, r.Target)
}

// Provider names the provider of an endpoint that carries no model: the one
// the caller names in x-hostless-provider, else the one whose dialect it speaks.
func (r *Request) Provider() (string, error) {
	if asked := r.HTTP.Header.Get("X-Hostless-Provider"); asked != "" {
		name := catalogue().Canonical(asked)
		if catalogue().Get(name) == nil {
			k := known{keys: r.Planner.cfg.Keys}
			switch exists := k.Custom(name); {
			case k.err != nil:
				return "", k.err
			case !exists:
				return "", &fault.Error{Kind: fault.Invalid, Message: "x-hostless-provider names no provider", Param: "x-hostless-provider"}
			}
		}
		return name, nil
	}
	switch {
	case r.Matched.Dialect == dialect.Gemini:
		return "google", nil
	case r.Matched.Dialect == dialect.Anthropic, r.HTTP.Header.Get("Anthropic-Version") != "":
		return "anthropic", nil
	}
	return "openai", nil
}
