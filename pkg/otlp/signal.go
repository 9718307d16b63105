package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// How long a collector that does not accept a document is left alone: firstPause, doubled
// with each failure up to maxPause, or longer if it asks for that, up to maxAsked.
const (
	firstPause = 4 * time.Second
	maxPause   = 2 * time.Minute
	maxAsked   = 10 * time.Minute
)

// signal is the state of one path of the collector.
type signal struct {
	path    string
	base    string // the endpoint that the rest of the state belongs to
	problem string // why the last request failed, "" if it did not
	pause   time.Duration
	next    time.Time // when to send again
}

// result is what became of a document.
type result int

const (
	accepted result = iota
	refused         // the collector will not accept it
	retryLater
)

// ready reports whether something may be sent now. A new endpoint may be used at once.
func (e *Exporter) ready(s *signal) bool {
	if base := e.cfg.Endpoint(); base != s.base {
		*s = signal{path: s.path, base: base}
	}
	return !e.cfg.Now().Before(s.next)
}

// send posts one document to the endpoint that ready has seen.
func (e *Exporter) send(ctx context.Context, s *signal, document any) result {
	base := s.base
	if base == "" {
		return refused
	}
	data, err := json.Marshal(document)
	if err != nil {
		e.cfg.Logger.Error("cannot encode telemetry", "error", err)
		return refused
	}
	status, after, problem := e.post(ctx, strings.TrimRight(base, "/")+s.path, data)
	if problem != "" && s.problem == "" {
		e.cfg.Logger.Warn("the collector does not accept telemetry", "endpoint", withoutUser(base), "path", s.path, "problem", problem)
	}
	if problem == "" && s.problem != "" {
		e.cfg.Logger.Info("the collector accepts telemetry again", "endpoint", withoutUser(base), "path", s.path)
	}
	s.problem = problem
	defer e.warn()
	if problem == "" {
		s.pause, s.next = 0, time.Time{}
		return accepted
	}
	s.pause = min(max(2*s.pause, firstPause), maxPause)
	s.next = e.cfg.Now().Add(max(s.pause, min(after, maxAsked)))
	if retryable(status) {
		return retryLater
	}
	return refused
}

// retryable reports whether a document that was answered with a status, 0 for none, is to
// be sent again (OTLP/HTTP, retryable response codes).
func retryable(status int) bool {
	switch status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// post sends one document. problem is "" if the collector accepted it, and after is how
// long it asks to wait.
func (e *Exporter) post(ctx context.Context, address string, data []byte) (status int, after time.Duration, problem string) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return 0, 0, "the endpoint is not a valid URL"
	}
	for name, values := range e.cfg.Headers {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hostless/"+e.cfg.Version)
	resp, err := e.cfg.Client.Do(req)
	if err != nil {
		return 0, 0, err.Error() // net/http removes a password from the URL
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), e.cfg.Now()), "it answers " + resp.Status
	}
	e.noteRejected(body)
	return resp.StatusCode, 0, ""
}

// retryAfter parses a Retry-After header: seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return min(time.Duration(seconds), maxAsked/time.Second) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// noteRejected logs what a collector says that it did not accept of a document
// (partial success); it must not be sent again.
func (e *Exporter) noteRejected(body []byte) {
	var answer struct {
		PartialSuccess struct {
			Spans   json.Number `json:"rejectedSpans"`
			Points  json.Number `json:"rejectedDataPoints"`
			Message string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	for what, number := range map[string]json.Number{"spans": answer.PartialSuccess.Spans, "points": answer.PartialSuccess.Points} {
		if n, err := number.Int64(); err == nil && n > 0 {
			e.cfg.Logger.Debug("the collector rejected a part of the telemetry", what, n, "message", fmt.Sprintf("%.200s", answer.PartialSuccess.Message))
		}
	}
}

// withoutUser removes user and password from a URL.
func withoutUser(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}
