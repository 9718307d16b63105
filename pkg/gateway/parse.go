package gateway

import (
	"mime"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/plan"
)

// parse reads everything that belongs to the call from the request, once for all attempts,
// and checks the models in the body against the scope of the token.
func (c *exchange) parse() error {
	c.Call.Size = c.HTTP.ContentLength
	var err error
	if c.Call.Provider, err = c.Provider(); err != nil {
		return err
	}
	switch c.Matched.ModelAt {
	case endpoint.InBody:
		return c.parseBody()
	case endpoint.InForm:
		return c.parseForm()
	case endpoint.InPath:
		return c.parsePath()
	}
	return c.parsePlain()
}

// readBody reads the whole body into memory. The memory is released with the exchange.
func (c *exchange) readBody() error {
	data, err := body.Read(c.HTTP, c.g.cfg.MaxBody, &c.Lease)
	c.Call.Body, c.Call.Size = data, int64(len(data))
	c.BodyRead = err == nil
	return err
}

// parsePlain reads a request without a model. A JSON body is read, which limits its size,
// except for an upload; all other bodies are streamed.
func (c *exchange) parsePlain() error {
	if c.Matched.Upload || !isJSON(c.HTTP.Header.Get("Content-Type")) {
		return nil
	}
	return c.readBody()
}

// parseBody reads a request with the model in its JSON body.
func (c *exchange) parseBody() error {
	s := c.Matched
	if s.Scope == endpoint.Opaque && !isJSON(c.HTTP.Header.Get("Content-Type")) {
		return c.parsePlain()
	}
	if err := c.readBody(); err != nil {
		return err
	}
	envelope, err := body.Parse(c.Call.Body)
	if err != nil {
		if s.Scope == endpoint.Opaque {
			return nil
		}
		return err
	}
	return c.setBody(envelope)
}

// setBody takes the members of the call from a parsed JSON body.
func (c *exchange) setBody(envelope *body.Body) error {
	s := c.Matched
	if err := c.CheckModels(envelope); err != nil {
		return err
	}
	if envelope.Model == "" {
		needed := s.Scope == endpoint.ByModel && !(s.Dialect == dialect.Responses && envelope.StoredPrompt) || c.Limited() && s.Scope != endpoint.ByModelWhereGiven
		if needed {
			return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model", Code: "missing_required_parameter"}
		}
		return nil
	}
	c.Envelope = envelope
	c.Call.Stream, c.Call.MaxOutput = envelope.Stream, envelope.MaxOutput
	switch c.Call.Model = envelope.Model; s.Dialect {
	case dialect.Ollama:
		c.Call.Model = ollama.Name(c.Call.Model)
	case dialect.Gemini:
		c.Call.Model = strings.TrimPrefix(c.Call.Model, plan.GeminiModels)
	}
	return nil
}

// parseForm reads a request with the model in a multipart form. The same endpoints also
// accept JSON.
func (c *exchange) parseForm() error {
	kind, params, err := mime.ParseMediaType(c.HTTP.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		if kind == "multipart/form-data" {
			return &fault.Error{Kind: fault.Invalid, Message: "multipart/form-data has no boundary", Param: "content-type"}
		}
		return c.parseBody()
	}
	if c.HTTP.Header.Get("Content-Encoding") != "" {
		return &fault.Error{Kind: fault.Invalid, Message: "a multipart body must not be compressed", Param: "content-encoding"}
	}
	form, err := body.ReadForm(c.HTTP, params["boundary"], c.g.cfg.MaxBody, c.Limited(), &c.Lease)
	if err != nil {
		return err
	}
	if form.Model == "" && (c.Matched.Scope == endpoint.ByModel && form.Ended || c.Limited()) {
		return &fault.Error{Kind: fault.Invalid, Message: "the form has no model, or has it too far from the start: send model before the file", Param: "model"}
	}
	c.Form, c.Call.Model = form, form.Model
	return nil
}

// parsePath reads a request with the model in its path: OpenAI's /models/MODEL, whose names
// may have colons (fine-tuned models are ft:BASE:ORG::ID), and Gemini's
// /models/MODEL:METHOD.
func (c *exchange) parsePath() error {
	if c.Matched.Dialect != dialect.Gemini {
		if c.Call.Model = c.Matched.Tail(); c.Call.Model == "" {
			return fault.New(fault.NotFound, "the path has no model")
		}
		return nil
	}
	path, ok := gemini.ParsePath(c.Matched.Decoded())
	if !ok {
		return fault.New(fault.NotFound, "the path must have the form models/MODEL:METHOD")
	}
	c.Verb, c.Call.Model, c.Call.Stream = path.Verb, path.Model, path.Stream
	if strings.Contains(strings.ToLower(c.Verb), "batch") && c.Verb != "batchEmbedContents" && c.Limited() {
		return &fault.Error{Kind: fault.Scope, Message: "this bridge token is limited to certain models, which cannot be checked in a batch"}
	}
	target, err := c.Target(c.Call.Model)
	if err != nil {
		return err
	}
	if plan.GoogleByDefault(target) {
		target.Provider = "google"
	}
	if c.Settings.Aliases.Targets(c.Call.Model) == nil { // the targets of an alias are checked by its planner
		if err := c.Call.Allow(target.Provider, target.Model); err != nil {
			return err
		}
	}
	if err := c.readBody(); err != nil {
		return err
	}
	return c.CheckGemini(target.Model)
}

// isJSON reports whether a Content-Type is JSON.
func isJSON(contentType string) bool {
	return len(contentType) >= 16 && strings.EqualFold(contentType[:16], "application/json")
}
