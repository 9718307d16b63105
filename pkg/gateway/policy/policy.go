// Package policy holds what a request asks for against the scope of its bridge
// token: its provider and model, and every further model that its body names.
//
// It is pure: which provider a model's name leads to comes in as a function, and
// whether a request is admitted in time (rate limits) is decided elsewhere.
package policy

import (
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/token"
)

// Allow holds a provider, by its canonical name, and its model against a scope; ""
// for a request without a model. The error is fault.Scope.
func Allow(scope token.Scope, provider, model string) error {
	if !scope.Provider(provider) {
		return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("this bridge token may not use provider %q", provider), Code: "provider_not_allowed"}
	}
	if model != "" && !scope.Model(provider, model) {
		return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("this bridge token may not use model %q of provider %q", model, provider), Param: "model", Code: "model_not_allowed"}
	}
	return nil
}

// Resolve finds the provider of a model's name.
type Resolve func(model string) (provider.Target, error)

// Authorize refuses a body that names another model than the scope allows, or that
// a provider may read as naming one: hosted tools that run a model of their own
// (image generation, an advisor), fallbacks, the graders of a fine-tuning. It is for
// scopes that limit models; the model that the request is routed by is Allow's. The
// error is fault.Scope, or fault.Invalid where it is not clear which models the
// body names.
func Authorize(scope token.Scope, b *body.Body, resolve Resolve) error {
	return authorize(scope, b.Ambiguous, b.Holders, resolve)
}

// AuthorizeMessage is that for a response.create on a WebSocket.
func AuthorizeMessage(scope token.Scope, m *body.Message, resolve Resolve) error {
	return authorize(scope, m.Ambiguous, m.Holders, resolve)
}

func authorize(scope token.Scope, ambiguous bool, holders []body.Member, resolve Resolve) error {
	if ambiguous {
		return Ambiguous()
	}
	refs, err := ModelRefs(holders)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if to, err := resolve(ref.Name); err != nil || Allow(scope, to.Provider, to.Model) != nil {
			return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("this bridge token may not use model %q in %s", ref.Name, ref.Param), Param: ref.Param, Code: "model_not_allowed"}
		}
	}
	return nil
}

// Ambiguous is the error of a request that different readers would take for
// different models.
func Ambiguous() error {
	return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
}

// AuthorizeGemini refuses a body of Gemini's API that names another model than the
// one of its path, which was allowed: its own model, each of a batch's, and the one
// of the request whose tokens are to be counted. model is the path's, by the
// provider's name for it.
func AuthorizeGemini(b *body.Body, model string, resolve Resolve) error {
	refs, err := GeminiModelRefs(b)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if to, err := resolve(strings.TrimPrefix(ref.Name, "models/")); err != nil || ref.Name == "" || to.Model != model {
			return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("model %q is not the path's, and this bridge token is limited to certain models", ref.Name), Param: ref.Param, Code: "model_not_allowed"}
		}
	}
	return nil
}
