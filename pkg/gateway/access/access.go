// Package access decides who may use the AI plane and which web pages may read its
// responses: bridge tokens, dev mode, CORS and Fetch Metadata.
//
// It does not check what a token may be used for; package policy does that.
package access

import (
	"net/http"

	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// Tokens verifies bridge tokens. *token.Store implements it.
type Tokens interface {
	// Verify checks a bridge token and the Origin of its request ("" for none).
	Verify(bearer secret.String, origin string) (*token.Grant, error)
	// OwnsOrigin reports whether a live token is bound to origin.
	OwnsOrigin(origin string) bool
}

// Access holds the access rules. All fields are required and must not change after the
// first request. It is safe for concurrent use.
type Access struct {
	Tokens Tokens
	// DevMode allows requests without a token from processes of Owner that have no Origin
	// or a bare-localhost one.
	DevMode bool
	Owner   func(*http.Request) bool // whether the peer is the user that the daemon runs as
	Origins func() []string          // the origins list of config.json, normalised
}
