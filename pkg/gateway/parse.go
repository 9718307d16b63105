package gateway

import (
	"bytes"
	"mime"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/policy"
)

// geminiModels opens the name of a model as Gemini writes it in bodies.
const geminiModels = "models/"

// parse reads what the call is of the request: once, whatever is tried with it
// later. It holds what the body itself may not ask for against the token.
func (c *exchange) parse() error {
	c.call.Size = c.r.ContentLength
	var err error
	if c.call.Provider, err = c.plainProvider(); err != nil {
		return err
	}
	switch c.matched.ModelAt {
	case endpoint.InBody:
		return c.parseBody()
	case endpoint.InForm:
		return c.parseForm()
	case endpoint.InPath:
		return c.parsePath()
	}
	return c.parsePlain()
}

// readBody takes the whole body into memory, for as long as the request lasts.
func (c *exchange) readBody() error {
	data, err := body.Read(c.r, c.g.cfg.MaxBody, &c.lease)
	c.call.Body, c.call.Size = data, int64(len(data))
	c.bodyRead = err == nil
	return err
}

// parsePlain reads a request without a model. Its body is streamed, unless it is
// JSON and no upload's: that has a limit, whether its length was declared or not.
func (c *exchange) parsePlain() error {
	if c.matched.Upload || !isJSON(c.r.Header.Get("Content-Type")) {
		return nil
	}
	return c.readBody()
}

// parseBody reads a request whose model is a member of its JSON body.
func (c *exchange) parseBody() error {
	s := c.matched
	if s.Scope == endpoint.Opaque && !isJSON(c.r.Header.Get("Content-Type")) {
		return c.parsePlain()
	}
	if err := c.readBody(); err != nil {
		return err
	}
	envelope, err := body.Parse(c.call.Body)
	if err != nil {
		if s.Scope == endpoint.Opaque {
			return nil
		}
		return err
	}
	return c.setBody(envelope)
}

// setBody takes up a JSON body that was read.
func (c *exchange) setBody(envelope *body.Body) error {
	s := c.matched
	if err := c.checkModels(envelope); err != nil {
		return err
	}
	if envelope.Model == "" {
		needed := s.Scope == endpoint.ByModel && !(s.Dialect == dialect.Responses && envelope.StoredPrompt) || c.limited() && s.Scope != endpoint.ByModelWhereGiven
		if needed {
			return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model", Code: "missing_required_parameter"}
		}
		return nil
	}
	c.envelope = envelope
	c.call.Stream = envelope.Stream
	switch c.call.Model = envelope.Model; s.Dialect {
	case dialect.Ollama:
		c.call.Model = ollama.Name(c.call.Model)
	case dialect.Gemini:
		c.call.Model = strings.TrimPrefix(c.call.Model, geminiModels)
	}
	return nil
}

// checkModels refuses, for a token that is limited to certain models, bodies that
// may mean another model than the one that is checked: a second `model` in other
// letters, or one within.
func (c *exchange) checkModels(b *body.Body) error {
	if !c.limited() {
		return nil
	}
	return policy.Authorize(c.call.Grant.Scope(), b, c.target)
}

// checkGemini refuses, for a token that is limited to certain models, a body that
// names another model than its path.
func (c *exchange) checkGemini(model string) error {
	if !c.limited() || len(bytes.TrimSpace(c.call.Body)) == 0 {
		return nil
	}
	b, err := body.Parse(c.call.Body)
	if err != nil {
		return err
	}
	return policy.AuthorizeGemini(b, model, c.target)
}

// parseForm reads a request whose model is a part of multipart/form-data; the same
// endpoints take JSON as well.
func (c *exchange) parseForm() error {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		if kind == "multipart/form-data" {
			return &fault.Error{Kind: fault.Invalid, Message: "multipart/form-data has no boundary", Param: "content-type"}
		}
		return c.parseBody()
	}
	if c.r.Header.Get("Content-Encoding") != "" {
		return &fault.Error{Kind: fault.Invalid, Message: "a multipart body must not be compressed", Param: "content-encoding"}
	}
	form, err := body.ReadForm(c.r, params["boundary"], c.g.cfg.MaxBody, c.limited(), &c.lease)
	if err != nil {
		return err
	}
	if form.Model == "" && (c.matched.Scope == endpoint.ByModel && form.Ended || c.limited()) {
		return &fault.Error{Kind: fault.Invalid, Message: "model is missing, or comes after more than is looked through for it", Param: "model"}
	}
	c.form, c.call.Model = form, form.Model
	return nil
}

// parsePath reads a request whose model is in its path: OpenAI's /models/MODEL, whose
// names may have colons (fine-tuned ones are ft:BASE:ORG::ID), and Gemini's
// /models/MODEL:verb.
func (c *exchange) parsePath() error {
	if c.matched.Dialect != dialect.Gemini {
		if c.call.Model = c.matched.Tail(); c.call.Model == "" {
			return fault.New(fault.NotFound, "the path names no model")
		}
		return nil
	}
	path, ok := gemini.ParsePath(c.matched.Decoded())
	if !ok {
		return fault.New(fault.NotFound, "the path names no model and method")
	}
	c.verb, c.call.Model, c.call.Stream = path.Verb, path.Model, path.Stream
	if strings.Contains(strings.ToLower(c.verb), "batch") && c.verb != "batchEmbedContents" && c.limited() {
		return &fault.Error{Kind: fault.Scope, Message: "this bridge token is limited to certain models, which cannot be checked in a batch"}
	}
	target, err := c.target(c.call.Model)
	if err != nil {
		return err
	}
	if googleByDefault(target) {
		target.Provider = "google"
	}
	if err := c.call.Allow(target.Provider, target.Model); err != nil {
		return err
	}
	if err := c.readBody(); err != nil {
		return err
	}
	return c.checkGemini(target.Model)
}

// pathEscape escapes a model's name for a path, its slashes kept.
func pathEscape(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") }

// isJSON reports whether a content type is JSON.
func isJSON(contentType string) bool {
	return len(contentType) >= 16 && strings.EqualFold(contentType[:16], "application/json")
}
