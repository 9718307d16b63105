package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// verdict is what becomes of a call after an attempt.
type verdict int

const (
	accepted        verdict = iota // its answer, or its error, is the caller's
	tryNext                        // another candidate
	endpointMissing                // the same candidate by its fallback
)

// attempts tries the plans in order until one is accepted. Nothing goes to the
// caller before that, and nothing is tried after.
func (c *exchange) attempts(plans []plan) error {
	ctx, cancel := c.context()
	defer cancel()
	var err error
	result := tryNext
	for i := range plans {
		p := &plans[i]
		if p.fallback != (result == endpointMissing) {
			continue
		}
		more := otherCandidate(plans[i+1:])
		if more && !p.fallback && p.to.Usable != nil && !p.to.Usable() {
			continue
		}
		hasFallback := i+1 < len(plans) && plans[i+1].fallback
		if result, err = c.attempt(ctx, p, more, hasFallback); result == accepted {
			break
		}
	}
	return err
}

// otherCandidate reports whether another candidate is left.
func otherCandidate(rest []plan) bool {
	for i := range rest {
		if !rest[i].fallback {
			return true
		}
	}
	return false
}

// attempt sends the call to one candidate. more is whether another one may be tried
// after it.
func (c *exchange) attempt(ctx context.Context, p *plan, more, hasFallback bool) (verdict, error) {
	c.outcome = pipeline.Outcome{Candidate: *p.to, Start: c.g.cfg.Now(), Attempts: c.outcome.Attempts}
	if p.answer != nil {
		c.answer(p.to, nil).SetHeaders(c.w.Header())
		return accepted, c.write(p.answer)
	}
	req, call, err := c.prepare(p)
	if err != nil {
		return accepted, err
	}
	o := &c.outcome
	if call != nil {
		o.Ignored = call.Ignored
	}
	a := c.answer(p.to, call)
	result, err := c.tryOnce(ctx, p, req, call, a, more, hasFallback)
	o.Err, o.End, o.Committed, o.Sent = err, c.g.cfg.Now(), c.w.Committed(), c.w.Sent()
	if o.Kind == "" {
		o.Kind = errorKind(err)
	}
	if result == accepted && err != nil && more && !o.Committed && c.mayRetry(ctx, p) {
		c.w.Discard()
		result = tryNext
	}
	o.Attempts = append(o.Attempts, pipeline.Attempt{
		Provider: p.to.Provider.Name, KeyLabel: p.to.Credential.Label, Model: p.to.Model,
		Status: o.Status, Kind: o.Kind, Duration: o.End.Sub(o.Start),
	})
	one := *o
	one.Attempts = nil
	c.g.seams.Attempt(&c.call, one)
	return result, err
}

// tryOnce carries the request out and, where it is accepted, its answer back.
func (c *exchange) tryOnce(ctx context.Context, p *plan, req *upstream.Request, call *dialect.Call, a *respond.Answer, more, hasFallback bool) (verdict, error) {
	o := &c.outcome
	early := respond.Informational{Writer: c.w, Redactor: a.RedactError, Hold: more || hasFallback}
	resp, err := c.g.up.Do(ctx, req, p.to.Credential.Key, early.Got)
	if err != nil {
		return accepted, unanswered(ctx, p.to.Provider.Name, err)
	}
	first := &upstream.FirstByte{ReadCloser: resp.Body, Now: c.g.cfg.Now}
	resp.Body = first
	defer resp.Body.Close()
	defer func() { o.FirstByte = first.At }()
	if hasFallback && upstream.PathMissing(ctx, resp) {
		o.Status, o.Kind = resp.StatusCode, pipeline.KindOfStatus(resp.StatusCode)
		c.g.missing.Store(p.endpoint, c.g.cfg.Now())
		return endpointMissing, nil
	}
	if resp.StatusCode >= 400 {
		o.RetryAfter = upstream.RetryAfter(resp.Header, c.g.cfg.Now())
	}
	if resp.StatusCode >= 400 && more {
		o.Status, o.Kind = resp.StatusCode, pipeline.KindOfStatus(resp.StatusCode)
		if c.mayRetry(ctx, p) {
			io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is kept
			return tryNext, nil
		}
	}
	early.Release()
	var result respond.Result
	if call == nil {
		result, err = a.Pass(ctx, c.w, resp)
	} else {
		result, err = a.Translate(ctx, c.w, resp, call, p.endpoint.Dialect)
	}
	o.Status, o.Kind, o.Stream, o.Usage, o.Reported = result.Status, result.Kind, result.Stream, result.Usage, result.Reported
	return accepted, err
}

// mayRetry asks the candidate whether the next one is tried after its outcome. What
// this side or the caller ended is over.
func (c *exchange) mayRetry(ctx context.Context, p *plan) bool {
	return ctx.Err() == nil && c.repeatable() && p.to.Retry != nil && p.to.Retry(c.outcome)
}

// repeatable reports whether the body can be sent once more.
func (c *exchange) repeatable() bool { return c.form == nil && (c.bodyRead || c.call.Size == 0) }

// answer is what is to be known of the call for its answer.
func (c *exchange) answer(to *pipeline.Candidate, call *dialect.Call) *respond.Answer {
	a := &respond.Answer{
		Request: c.r, Caller: c.call.Dialect, Provider: to.Credential.Provider, Model: to.Model,
		Attempts: len(c.outcome.Attempts) + 1, Upload: c.matched.Upload, DropUsage: c.dropUsage,
	}
	a.Redact, a.RedactError = c.g.redactors.Get(to)
	if call != nil {
		a.Ignored = call.Ignored
	}
	switch c.matched.Kind {
	case endpoint.Chat, endpoint.Completions, endpoint.Generate:
		a.Events = c.matched.Dialect
	}
	return a
}

// unanswered is the error of a request that no answer came to.
func unanswered(ctx context.Context, name string, err error) error {
	if canceled := respond.CancelError(ctx); canceled != nil {
		return canceled
	}
	return upstream.Error(name, err)
}

// errorKind sorts what ended a call.
func errorKind(err error) pipeline.ErrorKind {
	if errors.Is(err, respond.ErrDisconnected) {
		return pipeline.CallerDisconnected
	}
	return pipeline.KindOf(err)
}

// prepare makes the request for a plan: the caller's own bytes but for the model, or
// their translation, which call then turns around again.
func (c *exchange) prepare(p *plan) (req *upstream.Request, call *dialect.Call, err error) {
	c.dropUsage = false
	header := upstream.RequestHeader(c.r.Header)
	if p.translate != nil {
		return c.prepareTranslated(p, header)
	}
	req = &upstream.Request{Endpoint: p.endpoint, Method: c.call.Method, Path: c.matched.Path, Query: c.query(), Upload: c.matched.Upload, Header: header}
	switch {
	case c.form != nil:
		upstream.ForceIdentity(header)
		var grew int
		req.Stream, grew = c.form.Replay(p.to.Model)
		if req.Size = c.r.ContentLength; req.Size >= 0 {
			req.Size += int64(grew)
		}
		return req, nil, nil
	case c.envelope != nil:
		upstream.ForceIdentity(header)
		c.editBody(p, req)
		req.Repeatable = c.matched.Generates()
	case c.matched.ModelAt == endpoint.InPath:
		upstream.ForceIdentity(header)
		c.editPath(p, req)
		req.Body, req.Repeatable = c.call.Body, c.bodyRead
	default:
		upstream.LimitAcceptEncoding(header)
		req.Body = c.call.Body
	}
	if c.bodyRead {
		req.Lease = &c.lease
		c.lease.Reuse()
		delete(header, "Content-Encoding") // decoded on the way in
		if c.envelope != nil || c.matched.ModelAt == endpoint.InPath {
			delete(header, "Expect")
		}
	} else if c.r.ContentLength != 0 && c.r.Body != nil {
		req.Stream, req.Size = c.r.Body, c.r.ContentLength
	}
	return req, nil, nil
}

// editBody puts the candidate's name of the model into the body, and on chat streams
// asks for the usage where the caller did not.
func (c *exchange) editBody(p *plan, req *upstream.Request) {
	usage := false
	switch c.matched.Kind {
	case endpoint.Chat, endpoint.Completions:
		if c.call.Stream && p.to.Provider.IncludeUsage && !c.settings.StreamUsageOff {
			usage = c.envelope.AddsUsage()
			c.dropUsage = usage
		}
	}
	model := p.to.Model
	if c.matched.Dialect == dialect.Gemini && strings.HasPrefix(c.envelope.Model, geminiModels) {
		model = geminiModels + model
	}
	req.Body = c.envelope.WithModel(model, usage)
}

// editPath puts the candidate's name of the model into the path.
func (c *exchange) editPath(p *plan, req *upstream.Request) {
	switch {
	case c.matched.Dialect != dialect.Gemini:
		req.Path = "/models/" + pathEscape(p.to.Model)
	case strings.HasPrefix(p.to.Model, "tunedModels/"):
		req.Path = "/" + pathEscape(p.to.Model) + ":" + pathEscape(c.verb)
	default:
		req.Path = "/models/" + pathEscape(p.to.Model) + ":" + pathEscape(c.verb)
	}
}

// query is the caller's query as it may go up.
func (c *exchange) query() string {
	return upstream.Query(c.r.URL.RawQuery, c.matched.Dialect == dialect.Gemini)
}

// prepareTranslated makes the request of another dialect.
func (c *exchange) prepareTranslated(p *plan, header http.Header) (*upstream.Request, *dialect.Call, error) {
	c.lease.Keep() // conversations and streams may keep a part of the body
	call, err := p.translate(dialect.Request{
		Model: p.to.Model, Provider: p.to.Provider.Name, Stream: c.call.Stream, Header: header, Body: c.call.Body,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := c.checkTranslated(p.to, call.Body); err != nil {
		return nil, nil, err
	}
	for name := range header {
		// Of the caller's dialect, which the provider does not speak.
		for _, own := range [...]string{"Anthropic-", "Openai-", "X-Goog-"} {
			if strings.HasPrefix(name, own) {
				delete(header, name)
			}
		}
	}
	for name, values := range call.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	upstream.ForceIdentity(header)
	for _, name := range []string{"Content-Encoding", "Expect", "Accept"} {
		delete(header, name)
	}
	header["Content-Type"] = []string{"application/json"}
	return &upstream.Request{Endpoint: p.endpoint, Method: http.MethodPost, Path: call.Path, Header: header, Body: call.Body, Repeatable: true}, call, nil
}

// checkTranslated holds what a translation made of a request against the scope of a
// token that is limited to certain models: extra_body may have brought in what would
// not have passed in the request itself.
func (c *exchange) checkTranslated(to *pipeline.Candidate, data []byte) error {
	if !c.limited() {
		return nil
	}
	b, err := body.Parse(data)
	if err != nil {
		return err
	}
	if name := strings.TrimPrefix(b.Model, geminiModels); name != "" && name != to.Model {
		return &fault.Error{Kind: fault.Scope, Message: "another model than the request's cannot be used with a bridge token that is limited to certain models", Param: "model", Code: "model_not_allowed"}
	}
	return c.checkModels(b)
}
