package gateway

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// servePath serves an endpoint whose model is in its path: OpenAI's /models/MODEL,
// and Gemini's /models/MODEL:verb.
func (c *exchange) servePath() error {
	if c.matched.Dialect != dialect.Gemini {
		return c.serveNamedModel()
	}
	target, ok := gemini.ParsePath(c.matched.Decoded())
	if !ok {
		return fault.New(fault.NotFound, "the path names no model and method")
	}
	c.verb = target.Verb
	to, err := c.route(target.Model)
	if err != nil {
		return err
	}
	if googleByDefault(to) {
		to.Provider = "google"
	}
	if strings.Contains(strings.ToLower(c.verb), "batch") && c.verb != "batchEmbedContents" && c.limited() {
		return &fault.Error{Kind: fault.Scope, Message: "this bridge token is limited to certain models, which cannot be checked in a batch"}
	}
	if err := c.reach(to.Provider, to.Model); err != nil {
		return err
	}
	data, err := c.readBody()
	if err != nil {
		return err
	}
	if err := c.checkGemini(data); err != nil {
		return err
	}
	if answer, ok, err := c.answeredHere(data); ok || err != nil {
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
		return c.sendTranslated(way, data, target.Stream)
	}
	header := upstream.RequestHeader(c.r.Header)
	upstream.ForceIdentity(header)
	delete(header, "Content-Encoding")
	delete(header, "Expect")
	path := "/models/" + pathEscape(c.model) + ":" + pathEscape(c.verb)
	if strings.HasPrefix(c.model, "tunedModels/") {
		path = path[len("/models"):]
	}
	c.lease.Reuse()
	return c.send(&upstream.Request{Endpoint: way.endpoint, Method: c.r.Method, Path: path, Query: c.query(), Header: header, Body: data, Lease: &c.lease, Repeatable: true})
}

// serveNamedModel serves an endpoint whose whole path below /models/ is a model,
// which may have colons: OpenAI's fine-tuned ones are ft:BASE:ORG::ID.
func (c *exchange) serveNamedModel() error {
	name := c.matched.Tail()
	if name == "" {
		return fault.New(fault.NotFound, "the path names no model")
	}
	target, err := c.route(name)
	if err != nil {
		return err
	}
	if err := c.reach(target.Provider, target.Model); err != nil {
		return err
	}
	way, err := c.wire()
	if err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	header := upstream.RequestHeader(c.r.Header)
	upstream.ForceIdentity(header)
	o := &upstream.Request{Endpoint: way.endpoint, Method: c.r.Method, Path: "/models/" + pathEscape(c.model), Query: c.query(), Header: header}
	if c.r.ContentLength != 0 && c.r.Body != nil {
		o.Stream, o.Size = c.r.Body, c.r.ContentLength
	}
	return c.send(o)
}

// pathEscape escapes a model's name for a path, its slashes kept.
func pathEscape(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") }

// answerHere answers with what Hostless made itself.
func (c *exchange) answerHere(answer []byte, err error) error {
	if err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	c.mark(c.w.Header())
	return c.write(answer)
}

// checkGemini refuses, for a token that is limited to certain models, a body that
// names another model than its path.
func (c *exchange) checkGemini(data []byte) error {
	if !c.limited() || len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	b, err := body.Parse(data)
	if err != nil {
		return err
	}
	return policy.AuthorizeGemini(b, c.model, c.target)
}
