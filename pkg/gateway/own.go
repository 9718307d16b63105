package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// serveModels serves a list of models, or one model, in the caller's dialect.
func (c *exchange) serveModels() error {
	if c.Matched.Dialect == dialect.OpenAI && c.HTTP.Header.Get("Anthropic-Version") != "" {
		c.Call.Dialect = dialect.Anthropic
	}
	value, err := c.g.models.Answer(c.HTTP.Context(), &c.Request, c.Call.Dialect)
	if err != nil {
		return err
	}
	if err := c.admit(c.HTTP.Context(), nil); err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.write(data)
}

// serveMetadata serves Ollama's metadata, which needs no token.
func (c *exchange) serveMetadata() error {
	data, err := c.g.models.Metadata(c.HTTP.Context(), &c.Request)
	if err != nil {
		return err
	}
	return c.write(data)
}

// write sends a JSON response of Hostless's own.
func (c *exchange) write(data []byte) error {
	h := c.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	c.outcome.Status = http.StatusOK
	c.w.WriteHeader(http.StatusOK)
	if c.HTTP.Method == http.MethodHead {
		return nil
	}
	if _, err := c.w.Write(data); err != nil {
		return respond.ErrDisconnected
	}
	return nil
}
