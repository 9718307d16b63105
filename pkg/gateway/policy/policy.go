// Package policy checks a request against the scope of its bridge token: the provider and
// the model, and every further model that the body names.
//
// It is pure. The caller passes the function that resolves a model name to its provider.
// Rate limits are checked elsewhere.
package policy

import (
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/token"
)

// Allow checks a provider (canonical name) and its model ("" for none) against a scope. The
// error is fault.Scope.
func Allow(scope token.Scope, provider, model string) error {
	if !scope.Provider(provider) {
		return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("this bridge token may not use provider %q", provider), Code: "provider_not_allowed"}
	}
	if model != "" && !scope.Model(provider, model) {
		return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("this bridge token may not use model %q of provider %q", model, provider), Param: "model", Code: "model_not_allowed"}
	}
	return nil
}

// Resolve returns the provider and its model for a model name.
type Resolve func(model string) (provider.Target, error)

// Authorize refuses a body if it names a further model outside the scope, or if a provider
// could read it so: hosted tools with a model of their own (image generation, an advisor),
// fallbacks, graders of a fine-tuning job. It is needed for scopes that limit models; Allow
// checks the model that the request is routed by. The error is fault.Scope, or
// fault.Invalid if the models of the body are ambiguous.
func Authorize(scope token.Scope, b *body.Body, resolve Resolve) error {
	return authorize(scope, b.Ambiguous, b.Holders, resolve)
}

// AuthorizeMessage is Authorize for a response.create message on a WebSocket.
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

// Ambiguous returns the error for a request in which different parsers would find different
// models.
func Ambiguous() error {
	return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
}

// AuthorizeGemini refuses a body of the Gemini API if it names a model other than that of
// its path, which was checked before: its own model, one of a batch, or that of a request
// whose tokens are to be counted. model is the one of the path, in the provider's naming.
func AuthorizeGemini(b *body.Body, model string, resolve Resolve) error {
	refs, err := GeminiModelRefs(b)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if to, err := resolve(strings.TrimPrefix(ref.Name, "models/")); err != nil || ref.Name == "" || to.Model != model {
			return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("model %q in the body is not the model of the path, and this bridge token is limited to certain models", ref.Name), Param: ref.Param, Code: "model_not_allowed"}
		}
	}
	return nil
}
