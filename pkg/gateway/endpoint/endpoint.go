// Package endpoint classifies the paths of the AI plane: which API a request
// belongs to, how it is served, where its model stands, and which scope a bridge
// token needs for it.
//
// Its table is the only place that knows the paths, and docs/proxy-api.md lists
// the same rows. The package reads a request's path and method only; it holds no
// state and does no I/O. Authentication, routing and the scope check itself belong
// to package gateway.
package endpoint

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
)

// Kind is how an endpoint is served.
type Kind int

// The kinds of endpoints. None, the zero value, is that of a path that does not
// exist or does not have the request's method.
const (
	None        Kind = iota
	Pass             // bytes through, in the endpoint's own dialect
	Chat             // chat completions: translated where the provider speaks another dialect
	Completions      // legacy text completions
	Embeddings       // OpenAI's embeddings: translated where needed
	Generate         // a dialect's own generation: native, or translated through chat
	CountTokens      // Anthropic's count_tokens
	ListModels       // the models of all providers
	GetModel         // one model
	WebSocket        // a WebSocket
	Metadata         // Ollama's metadata, without a token
)

// Scope is what a bridge token's scope is checked against.
type Scope int

const (
	// ByProvider: the endpoint carries no model (files, stored objects, lists), so
	// that the provider scope alone decides.
	ByProvider Scope = iota
	// ByModel: a model is required and must be in scope.
	ByModel
	// ByModelOrDefault: the provider has a default for an absent model. A token with
	// a model scope must name one.
	ByModelOrDefault
	// ByModelWhereGiven: an absent model leaves the one that was checked when the
	// object was created; a given one must be in scope.
	ByModelWhereGiven
	// Opaque: the models used are not visible in the request (files of requests,
	// workflows, sessions with the provider): refused to tokens with a model scope.
	Opaque
	// Refused: administration of the provider's account: refused to every token.
	Refused
)

// ModelAt is where a request carries its model.
type ModelAt int

// The places of a model.
const (
	NoModel    ModelAt = iota
	InBody             // `model` of a JSON body
	InForm             // the `model` part of multipart/form-data, or of a JSON body
	InPath             // a path segment
	InMessages         // WebSocket messages, or ?model=
)

// Endpoint is a classified request path. It is a value and immutable.
type Endpoint struct {
	Kind    Kind         // None where Match found no row for the method
	Scope   Scope        // what the token's scope is checked against
	ModelAt ModelAt      // where the model is
	Dialect dialect.Name // the API that the request belongs to, and its errors
	Pattern string       // the row's pattern, for logs and messages
	Methods string       // every method of the path, separated by ", "; "" where there is no such path
	Path    string       // the escaped path below its version: "/chat/completions"
	Upload  bool         // the path is below Gemini's /upload

	segments []string // decoded; nil for a path that was found by its exact pattern
}

// Tail is the decoded path below its version and collection, slashes kept: of
// /v1/models/a/b it is "a/b".
func (e Endpoint) Tail() string {
	if len(e.segments) < 3 {
		return ""
	}
	return strings.Join(e.segments[2:], "/")
}

// Decoded is the whole decoded path, "" for a path that was found by its exact
// pattern.
func (e Endpoint) Decoded() string { return "/" + strings.Join(e.segments, "/") }

// Generates reports whether a provider computes an answer of tokens for the
// request: such a request may be sent again where a kept connection closed before
// any answer, since nothing is stored for it.
func (e Endpoint) Generates() bool {
	switch e.Kind {
	case Chat, Completions, Generate, CountTokens:
		return true
	}
	return false
}
