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

// GeminiModels is the prefix of model names in bodies of the Gemini API.
const GeminiModels = "models/"

// Request is a parsed call with everything that is needed to build requests to providers.
// It must be used by one goroutine.
type Request struct {
	Planner  *Planner
	HTTP     *http.Request
	Matched  endpoint.Endpoint
	Settings Settings

	Call     pipeline.Call
	BodyRead bool       // Call.Body has the whole body
	Envelope *body.Body // for a JSON body that names a model; otherwise nil
	Form     *body.Form // for a multipart body; otherwise nil
	Verb     string     // the Gemini method after the model in the path
	Lease    body.Lease // memory of the body

	// Connection identifies the memory of the WebSocket that the request came from; "" if
	// it did not come from one.
	Connection string

	// Set by Prepare.
	DropUsage bool              // the usage chunk must not be forwarded to the caller
	Ignored   []string          // what was removed from the request
	Watch     func(data []byte) // is shown the response, if not nil; see respond.Answer
}

// Limited reports whether the token is limited to certain models.
func (r *Request) Limited() bool { return r.Call.Grant != nil && r.Call.Grant.Scope().LimitsModels() }

// Target calls Planner.Target with the settings of the request.
func (r *Request) Target(model string) (provider.Target, error) {
	return r.Planner.Target(model, r.Settings)
}

// CheckModels refuses a body that may name another model than the checked one, such as a
// second `model` in other letter case or a nested one. It does so only for a token that is
// limited to certain models.
func (r *Request) CheckModels(b *body.Body) error {
	if !r.Limited() {
		return nil
	}
	return policy.Authorize(r.Call.Grant.Scope(), b, r.Target)
}

// CheckGemini refuses a body that names a model other than that of its path, if the token
// is limited to certain models.
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

// Provider returns the provider of an endpoint without a model: the one that the caller
// names in x-hostless-provider, otherwise the one whose dialect the caller uses. The error
// is fault.Invalid for an unknown provider.
func (r *Request) Provider() (string, error) {
	if asked := r.HTTP.Header.Get("X-Hostless-Provider"); asked != "" {
		name := catalogue().Canonical(asked)
		if catalogue().Get(name) == nil {
			k := known{keys: r.Planner.cfg.Keys}
			switch exists := k.Custom(name); {
			case k.err != nil:
				return "", k.err
			case !exists:
				return "", &fault.Error{Kind: fault.Invalid, Message: "x-hostless-provider is not the name of a known provider", Param: "x-hostless-provider"}
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
