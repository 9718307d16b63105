package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// exchange is one request in the pipeline: the parsed call, the ResponseWriter and the
// outcome so far. It must be used by one goroutine.
type exchange struct {
	plan.Request
	g *Gateway
	w *respond.Writer

	outcome  pipeline.Outcome
	progress pipeline.Progress
	events   int64                  // of the last attempt's stream; the first event may be an error
	settle   func(pipeline.Outcome) // nil until the call is admitted
	perTurn  bool                   // a WebSocket whose messages are the calls; the connection is not one
	ends     uint64                 // value of running.ends when the request arrived
}

// newExchange starts the exchange for a request. It reads the settings and the clock once.
func (g *Gateway) newExchange(w http.ResponseWriter, r *http.Request, matched endpoint.Endpoint) *exchange {
	c := &exchange{g: g, w: respond.NewWriter(w), ends: g.running.ends.Load()}
	c.Request = plan.Request{Planner: g.plan, HTTP: r, Matched: matched, Settings: g.cfg.Settings(), Lease: g.bodies.Lease()}
	c.Call = pipeline.Call{
		ID: g.ids.next(), Start: g.cfg.Now(), Method: r.Method, Endpoint: matched.Pattern, Path: r.URL.Path, Dialect: matched.Dialect,
		Socket: matched.Kind == endpoint.WebSocket, List: matched.Kind == endpoint.ListModels || matched.Kind == endpoint.GetModel,
		Client: r.UserAgent(), Header: r.Header, Size: -1,
	}
	c.Call.Allow, c.Call.Progress = c.allow, &c.progress
	c.w.Keep(c.Settings.KeepResponse)
	return c
}

// serve serves a classified request. The error must be sent to the caller, unless a
// response has started.
func (c *exchange) serve() error {
	s := c.Matched
	if s.Kind == endpoint.Metadata {
		return c.serveMetadata()
	}
	var err error
	if c.Call.Grant, err = c.g.access.Authenticate(c.HTTP, s.Dialect == dialect.Gemini); err != nil {
		return err
	}
	c.Settings.Aliases = aliasesFor(c.Settings.Aliases, c.Call.Grant)
	switch s.Scope {
	case endpoint.Refused:
		return &fault.Error{Kind: fault.Scope, Message: "bridge tokens cannot be used to administer the provider's account"}
	case endpoint.Opaque:
		if c.Limited() {
			return &fault.Error{Kind: fault.Scope, Message: "this bridge token is limited to certain models, which cannot be checked for " + c.Path()}
		}
	}
	switch s.Kind {
	case endpoint.ListModels, endpoint.GetModel:
		return c.serveModels()
	case endpoint.WebSocket:
		ctx, cancel := c.context()
		defer cancel()
		return c.serveSocket(ctx)
	}
	if err := c.parse(); err != nil {
		return err
	}
	return c.process()
}

// process plans a parsed call, admits it and tries its candidates.
func (c *exchange) process() error {
	candidates, err := c.g.candidates(c.HTTP.Context(), &c.Request)
	if err != nil {
		return err
	}
	return c.dispatch(candidates)
}

// dispatch admits a planned call and tries its candidates.
func (c *exchange) dispatch(candidates []pipeline.Candidate) error {
	c.outcome.Planned = candidates[0].Model
	plans, err := c.Plans(candidates)
	if err != nil {
		return err
	}
	if err := c.admit(c.HTTP.Context(), candidates); err != nil {
		return err
	}
	if c.Form != nil && len(candidates) > 1 {
		if err := c.Form.Hold(c.HTTP.Context(), c.HTTP.ContentLength, &c.Lease); err != nil {
			return err
		}
	}
	return c.attempts(plans)
}

// admit runs the Admitters.
func (c *exchange) admit(ctx context.Context, candidates []pipeline.Candidate) error {
	settle, err := c.g.seams.Admit(ctx, &c.Call, candidates)
	if err != nil {
		return respond.Canceled(ctx, err)
	}
	c.settle = settle
	return nil
}

// allow checks a provider and its model against the scope of the token.
func (c *exchange) allow(name, model string) error {
	if c.Call.Grant == nil {
		return nil
	}
	return policy.Allow(c.Call.Grant.Scope(), name, model)
}

// context returns a context that is cancelled when the caller disconnects, when the token
// is revoked, and by Gateway.End.
func (c *exchange) context() (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(c.HTTP.Context())
	c.g.running.add(c, end)
	stop := func() bool { return true }
	if c.Call.Grant != nil {
		stop = c.Call.Grant.AfterRevoked(end)
	}
	return ctx, func() {
		stop()
		c.g.running.remove(c)
		end(nil)
	}
}

// end sends the error response, if one is due, and concludes the call. It is deferred, so
// that it handles panics too: they abort the connection, as in net/http.
func (c *exchange) end(err error, panicked any) {
	if panicked != nil && panicked != http.ErrAbortHandler {
		c.g.cfg.Logger.Error("panic in the gateway", "path", c.Matched.Pattern, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		err = fmt.Errorf("panic: %v", panicked)
	}
	abort := panicked != nil
	var cut *respond.TruncatedError
	switch {
	case abort || err == nil:
	case errors.As(err, &cut):
		abort = true // so that the caller notices that the response is truncated
	case errors.Is(err, respond.ErrDisconnected):
		// The caller has disconnected. A return would complete the response, and turn one
		// of which nothing was sent into an empty 200.
		abort = !c.Call.Socket
	case !c.w.Committed():
		respond.Drain(c.w.ResponseWriter, c.HTTP)
		c.w.Discard()
		if n := len(c.outcome.Attempts); n > 1 {
			c.w.Header()["X-Hostless-Attempts"] = []string{strconv.Itoa(n)}
		}
		respond.Fault(c.w, c.Call.Dialect, err)
		c.outcome.Status = fault.From(err).Kind.Status()
	}
	c.conclude(err)
	c.Lease.Release()
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// conclude settles the call and calls the Observers. Nothing else does.
func (c *exchange) conclude(err error) {
	o := &c.outcome
	o.Start, o.End, o.Sent, o.Committed = c.Call.Start, c.g.cfg.Now(), c.w.Sent(), c.w.Committed()
	o.Response = c.w.Kept()
	if err != nil {
		o.Err = err
		if o.Kind == "" {
			o.Kind = respond.KindOf(err)
		}
		if o.Status == 0 && o.Kind != pipeline.CallerDisconnected {
			o.Status = fault.From(err).Kind.Status()
		}
	}
	if c.settle != nil {
		c.settle(*o)
	}
	if c.Matched.Kind != endpoint.Metadata && !c.perTurn {
		c.g.seams.Done(&c.Call, *o)
	}
	c.log(err)
}

// log logs a request, without headers, query and body. Of the names that the caller chose
// it logs only the model.
func (c *exchange) log(err error) {
	level := slog.LevelDebug
	if f := fault.From(err); err != nil && f.Kind == fault.Internal && !errors.Is(err, respond.ErrDisconnected) {
		level = slog.LevelError
	}
	ctx := c.HTTP.Context()
	if !c.g.cfg.Logger.Enabled(ctx, level) {
		return
	}
	to := &c.outcome.Candidate
	attrs := []slog.Attr{
		slog.String("id", c.Call.ID), slog.String("method", c.Call.Method), slog.String("path", c.Matched.Pattern),
		slog.String("provider", to.Credential.Provider), slog.String("model", respond.HeaderSafe(to.Model)),
		slog.Duration("took", c.g.since(c.Call.Start)),
	}
	if c.Call.Grant != nil {
		attrs = append(attrs, slog.String("token", c.Call.Grant.Prefix()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if cause := errors.Unwrap(err); cause != nil {
			attrs = append(attrs, slog.String("cause", respond.NewRedactor(to, true).String(cause.Error())))
		}
	}
	c.g.cfg.Logger.LogAttrs(ctx, level, "request", attrs...)
}
