package daemon

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// gatewayTokens adapts the token store to gateway.Tokens.
type gatewayTokens struct {
	*token.Store
	returning func() bool // runs of an earlier daemon may still register their tokens
}

// returnPoll is how often an unknown token is looked up again.
const returnPoll = 10 * time.Millisecond

// Verify calls the store's Verify. Shortly after the start of a daemon whose predecessor had
// runs, it waits for an unknown token, since the clients of the runs register again.
func (g gatewayTokens) Verify(bearer secret.String, origin string) (*token.Grant, error) {
	grant, err := g.Store.Verify(bearer, origin)
	for fault.Is(err, fault.Unauthenticated) && g.returning() {
		time.Sleep(returnPoll)
		grant, err = g.Store.Verify(bearer, origin)
	}
	return grant, err
}

// controlTokens adapts the token store to control.Tokens.
type controlTokens struct{ store *token.Store }

func (c controlTokens) request(req control.MintRequest) token.Request {
	return token.Request{
		Origin: req.Origin, Name: req.Name, RateLimit: req.RateLimit, TTL: time.Duration(req.TTL) * time.Second,
		Scope: token.Scope{Providers: req.AllowedProviders, Models: req.AllowedModels}, Bound: req.Bound, Lease: req.Lease, MCP: req.MCP,
		Parents: req.Parents,
	}
}

func scope(s token.Scope, rate int) control.Scope {
	return control.Scope{AllowedProviders: orEmpty(s.Providers), AllowedModels: orEmpty(s.Models), RateLimit: rate}
}

// orEmpty replaces a nil list with one that marshals as [].
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func minted(m token.Minted, err error) (control.Token, error) {
	if err != nil {
		return control.Token{}, err
	}
	return control.Token{
		Token: control.Secret{String: m.Secret}, Origin: m.Origin, Name: m.Name,
		ExpiresIn: int64(m.ExpiresIn / time.Second), MCP: m.MCP, Scope: scope(m.Scope, m.RateLimit),
	}, nil
}

func (c controlTokens) Mint(ctx context.Context, req control.MintRequest) (control.Token, error) {
	return minted(c.store.Mint(ctx, c.request(req)))
}

func (c controlTokens) Restore(ctx context.Context, old control.Secret, req control.MintRequest) (control.Token, error) {
	return minted(c.store.Restore(ctx, old.String, c.request(req)))
}

func (c controlTokens) Refresh(ctx context.Context, ref control.Secret) (time.Duration, error) {
	return c.store.Refresh(ctx, ref.String)
}

func (c controlTokens) Revoke(ctx context.Context, ref control.Secret) error {
	return c.store.Revoke(ctx, ref.String)
}

func (c controlTokens) Release(_ context.Context, t control.Secret) error {
	c.store.Release(t.String)
	return nil
}

func (c controlTokens) RevokeBound(ctx context.Context, hostname string, keep control.Secret) error {
	return c.store.RevokeBound(ctx, hostname, keep.String)
}

func (c controlTokens) List(context.Context) ([]control.TokenInfo, error) {
	out := []control.TokenInfo{}
	for _, i := range c.store.List() {
		left := time.Until(i.Expires)
		out = append(out, control.TokenInfo{
			Prefix: i.Prefix, Origin: i.Origin, AppName: i.Name, ExpiresIn: max(0, int64(left/time.Second)), MCP: i.MCP, Scope: scope(i.Scope, i.RateLimit),
		})
	}
	return out, nil
}
