package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/token"
)

// exchange is one request on its way. It belongs to one goroutine.
type exchange struct {
	g        *Gateway
	w        http.ResponseWriter
	r        *http.Request
	matched  endpoint.Endpoint
	speaks   dialect.Name // the caller's dialect: of errors, and of the answer
	started  time.Time
	settings Settings

	grant    *token.Grant // nil for one that dev mode let in
	provider *provider.Provider
	cred     Credential
	model    string // as the provider names it, "" where there is none
	verb     string // Gemini's, behind the model in the path

	lease     body.Lease // of what the request's body takes up
	dropUsage bool       // the usage chunk is not the caller's
	ignored   []string   // fields that were dropped
	counted   bool

	connection *bridged // the WebSocket that this request came over, or nil
}

// serve takes a classified request through: token → scope → key → upstream. What
// it returns has not been told to the caller yet, save begun and errClient.
func (c *exchange) serve() error {
	s := c.matched
	if s.Kind == endpoint.Metadata {
		return c.serveMetadata()
	}
	grant, err := c.g.authenticate(c.r, s.Dialect == dialect.Gemini)
	if err != nil {
		return err
	}
	c.grant = grant
	switch s.Scope {
	case endpoint.Refused:
		return &fault.Error{Kind: fault.Scope, Message: "administering the provider's account is not for bridge tokens"}
	case endpoint.Opaque:
		if c.limited() {
			return &fault.Error{Kind: fault.Scope, Message: "this bridge token is limited to certain models, which cannot be checked on " + s.Pattern}
		}
	}
	switch s.Kind {
	case endpoint.ListModels, endpoint.GetModel:
		return c.serveModels()
	case endpoint.WebSocket:
		return c.serveSocket()
	}
	switch s.ModelAt {
	case endpoint.InBody:
		return c.serveBody()
	case endpoint.InForm:
		return c.serveForm()
	case endpoint.InPath:
		return c.servePath()
	}
	return c.servePlain()
}

// readBody takes the whole body into memory, for as long as the request lasts.
func (c *exchange) readBody() ([]byte, error) { return body.Read(c.r, c.g.cfg.MaxBody, &c.lease) }

// limited is whether the token is limited to certain models.
func (c *exchange) limited() bool { return c.grant != nil && c.grant.Scope().LimitsModels() }

// reach finds the provider and holds the token's scope against it, and against
// the model where there is one; only then is the key asked for and the request
// charged.
func (c *exchange) reach(name, model string) error {
	if err := checkModelName(model); err != nil {
		return err
	}
	if err := c.inScope(name, model); err != nil {
		return err
	}
	p, cred, err := c.g.credential(c.r.Context(), name, c.settings)
	if err != nil {
		return err
	}
	c.provider, c.cred, c.model = p, cred, model
	return nil
}

// admit charges the token's rate limit: last of all that may refuse.
func (c *exchange) admit() error {
	if c.grant == nil {
		return nil
	}
	return c.grant.Admit()
}

func (c *exchange) inScope(name, model string) error {
	if c.grant == nil {
		return nil
	}
	return policy.Allow(c.grant.Scope(), name, model)
}

// account counts the request once.
func (c *exchange) account(failed bool, t tokens) {
	if c.counted || c.cred.Provider == "" {
		return
	}
	c.counted = true
	c.g.ledger.add(c.cred.Provider, c.model, failed, t)
}

// finish tells the caller what serve returned, unless it has been told, and logs
// the request.
func (c *exchange) finish(err error) {
	var started *begun
	if err != nil && !errors.As(err, &started) && !errors.Is(err, errClient) {
		drain(c.w, c.r)
		writeFault(c.w, c.speaks, err)
	}
	c.log(c.r.Context(), err)
	if errors.Is(err, errClient) && c.matched.Kind != endpoint.WebSocket {
		// Nobody reads on. Returning would complete the answer: one of which
		// nothing was sent would become an empty 200.
		panic(http.ErrAbortHandler)
	}
}

// log tells of a request: no header, no query, no body, no name the caller chose
// but the model's.
func (c *exchange) log(ctx context.Context, err error) {
	level := slog.LevelDebug
	if f := fault.From(err); err != nil && f.Kind == fault.Internal && !errors.Is(err, errClient) {
		level = slog.LevelError
	}
	if !c.g.cfg.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", c.r.Method), slog.String("path", c.matched.Pattern),
		slog.String("provider", c.cred.Provider), slog.String("model", headerSafe(c.model)),
		slog.Duration("took", c.g.since(c.started)),
	}
	if c.grant != nil {
		attrs = append(attrs, slog.String("token", c.grant.Prefix()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if cause := errors.Unwrap(err); cause != nil {
			attrs = append(attrs, slog.String("cause", c.redactor(true).String(cause.Error())))
		}
	}
	c.g.cfg.Logger.LogAttrs(ctx, level, "request", attrs...)
}
