package gateway

import (
	"fmt"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
)

// way is how a request gets to a provider: natively where translate is nil.
type way struct {
	endpoint  *endpoint
	translate dialect.Translator
}

// wire finds the way from a surface to a provider: the surface's own dialect
// where the provider speaks it, else a translation through the middle.
func (g *Gateway) wire(p *provider.Provider, cred Credential, loc location) (way, error) {
	s := loc.surface
	native := s.speaks
	e, err := g.up.endpoint(p, cred, native)
	if err != nil {
		return way{}, err
	}
	if e == nil && native == dialect.Responses && s.kind == pass {
		// A provider that is only known to speak chat may have the rest of
		// OpenAI's surface all the same.
		e, err = g.up.endpoint(p, cred, dialect.OpenAI)
	}
	if err != nil {
		return way{}, err
	}
	if e != nil {
		return way{endpoint: e}, nil
	}
	return way{}, &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint",
		Message: fmt.Sprintf("provider %q has no %s", p.Name, s.pattern),
	}
}
