package control

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/hostless/hostless/pkg/metrics"
)

// Metrics is what the server needs of the metrics.
type Metrics interface {
	// WriteMetrics writes them in Prometheus's text format.
	WriteMetrics(w io.Writer) error
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) {
	var text bytes.Buffer
	if err := s.metrics.WriteMetrics(&text); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Write(text.Bytes())
}

// Metrics writes the daemon's metrics to w in Prometheus's text format.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if resp.StatusCode >= 400 {
		return decodeError(resp, raw)
	}
	_, err = w.Write(raw)
	return err
}
