// Package access says who may use the AI plane, and which pages may read its answers:
// the bridge token of a request, dev mode's rule, CORS and the rules of Fetch Metadata.
//
// It owns the callers' side alone. What a token may be used for is its scope's word,
// which package policy holds calls against.
package access

import (
	"net/http"

	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// Tokens lets callers in; *token.Store is one.
type Tokens interface {
	// Verify checks a bridge token and the Origin it came with ("" for none).
	Verify(bearer secret.String, origin string) (*token.Grant, error)
	// OwnsOrigin reports whether a live token is bound to that origin.
	OwnsOrigin(origin string) bool
}

// Access is the rule of who may ask. Its fields are required and not changed after
// the first request; it is safe for concurrent use.
type Access struct {
	Tokens Tokens
	// DevMode lets callers without a token in that are Owner's and have no Origin or
	// a bare-localhost one.
	DevMode bool
	Owner   func(*http.Request) bool // whether the peer is the daemon's own user
	Origins func() []string          // the origins list of config.json, normalised
}
