package gateway

import (
	"mime"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// serveBody serves a surface whose model is a member of its JSON body.
func (c *exchange) serveBody() error {
	s := c.matched
	if s.Scope == endpoint.Opaque && !isJSON(c.r.Header.Get("Content-Type")) {
		return c.servePlain()
	}
	data, err := c.readBody()
	if err != nil {
		return err
	}
	parsed, err := body.Parse(data)
	if err != nil {
		if s.Scope == endpoint.Opaque {
			return c.sendPlain(data)
		}
		return err
	}
	if err := c.checkModels(parsed); err != nil {
		return err
	}
	if parsed.Model == "" {
		needed := s.Scope == endpoint.ByModel && !(s.Dialect == dialect.Responses && parsed.StoredPrompt) || c.limited() && s.Scope != endpoint.ByModelWhereGiven
		if needed {
			return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model", Code: "missing_required_parameter"}
		}
		return c.sendPlain(data)
	}
	name := parsed.Model
	switch s.Dialect {
	case dialect.Ollama:
		name = ollama.Name(name)
	case dialect.Gemini:
		name = strings.TrimPrefix(name, geminiModels)
	}
	target, err := c.route(name)
	if err != nil {
		return err
	}
	if err := c.reach(target.Provider, target.Model); err != nil {
		return err
	}
	return c.dispatch(parsed)
}

// geminiModels opens the name of a model as Gemini writes it in bodies.
const geminiModels = "models/"

// checkModels refuses, for a token that is limited to certain models, bodies that
// may mean another model than the one that is checked: a second `model` in other
// letters, or one within.
func (c *exchange) checkModels(b *body.Body) error {
	if !c.limited() {
		return nil
	}
	return policy.Authorize(c.grant.Scope(), b, c.target)
}

// dispatch sends a JSON request to the provider it was routed to, in the dialect
// that both speak, or translated.
func (c *exchange) dispatch(b *body.Body) error {
	if answer, ok, err := c.answeredHere(b.Bytes()); ok || err != nil {
		return c.answerHere(answer, err)
	}
	way, err := c.wire()
	if err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	if way.translate != nil {
		return c.sendTranslated(way, b.Bytes(), b.Stream)
	}
	usage := false
	if (c.matched.Kind == endpoint.Chat || c.matched.Kind == endpoint.Completions) && b.Stream && c.provider.IncludeUsage && !c.settings.StreamUsageOff {
		usage = b.AddsUsage()
		c.dropUsage = usage
	}
	header := upstream.RequestHeader(c.r.Header)
	upstream.ForceIdentity(header)
	delete(header, "Content-Encoding") // decoded on the way in
	delete(header, "Expect")
	model := c.model
	if c.matched.Dialect == dialect.Gemini && strings.HasPrefix(b.Model, geminiModels) {
		model = geminiModels + model
	}
	data := b.WithModel(model, usage)
	o := &upstream.Request{
		Endpoint: way.endpoint, Method: c.r.Method, Path: c.upPath(), Query: c.query(), Header: header,
		Body: data, Lease: &c.lease, Repeatable: c.matched.Generates(),
	}
	if way.instead != nil {
		return c.sendOr(o, *way.instead, b)
	}
	c.lease.Reuse()
	return c.send(o)
}

// upPath is the path to ask the provider for.
func (c *exchange) upPath() string { return c.matched.Path }

// query is the caller's query as it may go up.
func (c *exchange) query() string {
	return upstream.Query(c.r.URL.RawQuery, c.matched.Dialect == dialect.Gemini)
}

// servePlain serves a surface without a model. Its body is streamed, unless it is
// JSON and no upload's: that has a limit, whether its length was told or not.
func (c *exchange) servePlain() error {
	if c.matched.Upload || !isJSON(c.r.Header.Get("Content-Type")) {
		return c.sendPlain(nil)
	}
	data, err := c.readBody()
	if err != nil {
		return err
	}
	return c.sendPlain(data)
}

// sendPlain sends to the provider that a request without a model goes to: data
// where the body has been read, else the body as it comes.
func (c *exchange) sendPlain(data []byte) error {
	name, err := c.plainProvider()
	if err != nil {
		return err
	}
	if err := c.reach(name, ""); err != nil {
		return err
	}
	way, err := c.wire()
	if err != nil {
		return err
	}
	if way.translate != nil {
		return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
	}
	if err := c.admit(); err != nil {
		return err
	}
	header := upstream.RequestHeader(c.r.Header)
	upstream.LimitAcceptEncoding(header)
	o := &upstream.Request{Endpoint: way.endpoint, Method: c.r.Method, Path: c.upPath(), Query: c.query(), Upload: c.matched.Upload, Header: header}
	switch {
	case data != nil:
		delete(header, "Content-Encoding")
		o.Body = data
	case c.r.ContentLength != 0 && c.r.Body != nil:
		o.Stream, o.Size = c.r.Body, c.r.ContentLength
	}
	return c.send(o)
}

// serveForm serves a surface whose model is a part of multipart/form-data; the
// same surfaces take JSON as well.
func (c *exchange) serveForm() error {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		if kind == "multipart/form-data" {
			return &fault.Error{Kind: fault.Invalid, Message: "multipart/form-data has no boundary", Param: "content-type"}
		}
		return c.serveBody()
	}
	if c.r.Header.Get("Content-Encoding") != "" {
		return &fault.Error{Kind: fault.Invalid, Message: "a multipart body must not be compressed", Param: "content-encoding"}
	}
	form, err := body.ReadForm(c.r, params["boundary"], c.g.cfg.MaxBody, c.limited(), &c.lease)
	if err != nil {
		return err
	}
	if form.Model == "" {
		needed := c.matched.Scope == endpoint.ByModel && form.Ended || c.limited()
		if needed {
			return &fault.Error{Kind: fault.Invalid, Message: "model is missing, or comes after more than is looked through for it", Param: "model"}
		}
		name, err := c.plainProvider()
		if err != nil {
			return err
		}
		if err := c.reach(name, ""); err != nil {
			return err
		}
	} else {
		target, err := c.route(form.Model)
		if err != nil {
			return err
		}
		if err := c.reach(target.Provider, target.Model); err != nil {
			return err
		}
	}
	way, err := c.wire()
	if err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	replayed, grew := form.Replay(c.model)
	size := c.r.ContentLength
	if size >= 0 {
		size += int64(grew)
	}
	header := upstream.RequestHeader(c.r.Header)
	upstream.ForceIdentity(header)
	return c.send(&upstream.Request{Endpoint: way.endpoint, Method: c.r.Method, Path: c.upPath(), Query: c.query(), Header: header, Stream: replayed, Size: size})
}
