// Package endpoint classifies the paths of the AI plane: which API a request belongs to,
// how it is served, where its model is, and which scope a bridge token needs for it.
//
// Its table is the only place that knows the paths; docs/proxy-api.md lists the same rows.
// The package reads only the path and the method of a request. It holds no state and does
// no I/O. Package gateway does the authentication, the routing and the scope check.
package endpoint

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
)

// Kind is the way in which an endpoint is served.
type Kind int

// The kinds of endpoints. None, the zero value, means that the path does not exist or does
// not have the method of the request.
const (
	None        Kind = iota
	Pass             // forwarded unchanged, in the endpoint's own dialect
	Chat             // chat completions, translated if the provider uses another dialect
	Completions      // legacy text completions
	Embeddings       // OpenAI embeddings, translated if needed
	Generate         // generation in another dialect: native, or translated through chat completions
	CountTokens      // Anthropic's count_tokens
	ListModels       // the models of all providers
	GetModel         // one model
	WebSocket        // a WebSocket
	Metadata         // Ollama's metadata, served without a token
)

// Scope is the part of a bridge token's scope that an endpoint is checked against.
type Scope int

const (
	// ByProvider: the endpoint has no model (files, stored objects, lists), so only the
	// allowed providers are checked.
	ByProvider Scope = iota
	// ByModel: a model is required and must be in scope.
	ByModel
	// ByModelOrDefault: the provider has a default model. A token that is limited to
	// certain models must name one.
	ByModelOrDefault
	// ByModelWhereGiven: the model is optional and must be in scope if present. Without it
	// the provider uses the model that was checked when the object was created.
	ByModelWhereGiven
	// Opaque: the request does not show which models it uses (batch files, workflows,
	// provider sessions). It is refused for a token that is limited to certain models.
	Opaque
	// Refused: administration of the provider account, refused for every token.
	Refused
)

// ModelAt is the place of the model in a request.
type ModelAt int

// The places of a model.
const (
	NoModel    ModelAt = iota
	InBody             // the `model` member of a JSON body
	InForm             // the `model` part of a multipart form, or member of a JSON body
	InPath             // a path segment
	InMessages         // WebSocket messages, or ?model=
)

// Endpoint is the classification of a request path. It is an immutable value.
type Endpoint struct {
	Kind    Kind         // None if the path does not exist or lacks the method
	Scope   Scope        // what the scope of the token is checked against
	ModelAt ModelAt      // where the model is
	Dialect dialect.Name // the API of the request and of its errors
	Pattern string       // the pattern of the table row, for logs and messages
	Methods string       // all methods of the path, separated by ", "; "" if the path does not exist
	Path    string       // the escaped path after its version, such as "/chat/completions"
	Upload  bool         // the path is below Gemini's /upload

	segments []string // decoded; nil if the path equals its pattern
}

// Tail returns the decoded path after its version and collection, including slashes: "a/b"
// for /v1/models/a/b.
func (e Endpoint) Tail() string {
	if len(e.segments) < 3 {
		return ""
	}
	return strings.Join(e.segments[2:], "/")
}

// Decoded returns the whole decoded path; "/" for a path that equals its pattern.
func (e Endpoint) Decoded() string { return "/" + strings.Join(e.segments, "/") }

// Generates reports whether the provider only generates tokens for the request and stores
// nothing. Such a request may be sent again when a kept connection closes before a
// response.
func (e Endpoint) Generates() bool {
	switch e.Kind {
	case Chat, Completions, Generate, CountTokens:
		return true
	}
	return false
}
