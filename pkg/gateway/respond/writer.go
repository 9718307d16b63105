// Package respond sends responses to the caller: a provider's response unchanged or
// translated, or an error of Hostless's own, in the caller's dialect.
//
// It implements the rules for response headers and event streams, reads the usage on the
// way, and redacts the provider key. The gateway decides whether a response is sent at all,
// or another candidate is tried.
package respond

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// ErrDisconnected means that the caller closed its connection.
var ErrDisconnected = errors.New("the caller disconnected")

// TruncatedError means that a response ended early, after it had started and in a format
// that cannot report an error. Its connection must be aborted.
type TruncatedError struct{ Err error }

func (e *TruncatedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TruncatedError) Unwrap() error { return e.Err }

// Writer is the ResponseWriter of one request. It records whether a response has started.
// It must be used by one goroutine at a time.
type Writer struct {
	http.ResponseWriter
	flusher   http.Flusher // nil if the server must be asked through a ResponseController
	committed bool
	sent      int64
	keep      int // number of body bytes to keep
	kept      []byte
}

// NewWriter returns a Writer for a server's ResponseWriter.
func NewWriter(w http.ResponseWriter) *Writer {
	own := &Writer{ResponseWriter: w}
	own.flusher, _ = w.(http.Flusher)
	return own
}

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	w.committed = w.committed || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	w.committed = true
	if room := w.keep - len(w.kept); room > 0 {
		w.kept = append(w.kept, p[:min(room, len(p))]...)
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (w *Writer) Flush() {
	if w.flusher != nil {
		w.flusher.Flush()
		return
	}
	http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Committed reports whether a final status or a part of a body was sent. After that, no
// other response can be sent.
func (w *Writer) Committed() bool { return w.committed }

// Commit marks the response as started, for a connection that was hijacked.
func (w *Writer) Commit() { w.committed = true }

// Sent returns the number of body bytes that were sent.
func (w *Writer) Sent() int64 { return w.sent }

// Keep makes the Writer keep the given number of bytes of the start of the body.
func (w *Writer) Keep(bytes int) { w.keep = bytes }

// Kept returns the bytes that were kept.
func (w *Writer) Kept() []byte { return w.kept }

// Discard removes the headers of a response that is not going to be sent, except those for
// CORS.
func (w *Writer) Discard() {
	h := w.Header()
	for name := range h {
		if !strings.HasPrefix(name, "Access-Control-") && name != "Vary" {
			delete(h, name)
		}
	}
}

// LocalCancelCause returns why Hostless itself cancelled a request, as an error for the
// caller: the token was revoked, or the daemon is shutting down. It returns nil if ctx is
// not done, or if the caller disconnected.
func LocalCancelCause(ctx context.Context) *fault.Error {
	var f *fault.Error
	switch {
	case ctx.Err() == nil || !errors.As(context.Cause(ctx), &f):
		return nil
	case f.Kind == fault.Unauthenticated:
		return &fault.Error{Kind: fault.Unauthenticated, Message: "the bridge token was revoked"}
	}
	return f
}

// CancelError returns the error of a request whose context is done: the LocalCancelCause,
// or ErrDisconnected. It returns nil if ctx is not done.
func CancelError(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if f := LocalCancelCause(ctx); f != nil {
		return f
	}
	return ErrDisconnected
}

// Canceled returns the CancelError of ctx, or err if ctx is not done.
func Canceled(ctx context.Context, err error) error {
	if canceled := CancelError(ctx); canceled != nil {
		return canceled
	}
	return err
}

// KindOf classifies the error that ended a call. It returns "" for nil.
func KindOf(err error) pipeline.ErrorKind {
	if errors.Is(err, ErrDisconnected) {
		return pipeline.CallerDisconnected
	}
	return pipeline.KindOf(err)
}
