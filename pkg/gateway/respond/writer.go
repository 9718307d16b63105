// Package respond sends answers to the caller: a provider's own bytes, a translation
// of them, or an error of Hostless's own, in the caller's dialect.
//
// It owns the rules for response headers, event streams and their ends, and what is
// read on the side: usage, and the key's text, which never leaves. Whether an answer
// is sent at all, or another candidate is tried, is decided by its caller.
package respond

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// ErrDisconnected says that the caller closed its connection: nobody reads an answer.
var ErrDisconnected = errors.New("the caller disconnected")

// TruncatedError says that an answer ended before it was complete, after it had started
// and in a form that cannot say so: its connection must be aborted.
type TruncatedError struct{ Err error }

func (e *TruncatedError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *TruncatedError) Unwrap() error { return e.Err }

// Writer is the caller's side of one request. It knows whether an answer has started.
// It belongs to one goroutine at a time.
type Writer struct {
	http.ResponseWriter
	flusher   http.Flusher // nil where the server can only be asked through a ResponseController
	committed bool
	sent      int64
	keep      int // bytes of the body to keep
	kept      []byte
}

// NewWriter wraps a server's ResponseWriter.
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

// Unwrap lets http.ResponseController reach what is wrapped.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Committed reports whether a final status, or something of a body, was sent. After
// that no other answer can be.
func (w *Writer) Committed() bool { return w.committed }

// Commit says that an answer has started past this Writer: the connection was taken over.
func (w *Writer) Commit() { w.committed = true }

// Sent is how many bytes of a body were sent.
func (w *Writer) Sent() int64 { return w.sent }

// Keep has the first bytes of the body kept, for Kept.
func (w *Writer) Keep(bytes int) { w.keep = bytes }

// Kept is what Keep has kept.
func (w *Writer) Kept() []byte { return w.kept }

// Discard takes the headers of an answer that is not going to be sent off again. What
// CORS needs stays.
func (w *Writer) Discard() {
	h := w.Header()
	for name := range h {
		if !strings.HasPrefix(name, "Access-Control-") && name != "Vary" {
			delete(h, name)
		}
	}
}

// LocalCancelCause is why this side ended a request, as its caller sees it: the token
// was revoked, or the daemon stops. It is nil where the context lives, or the caller
// itself has disconnected.
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

// CancelError is the error of a request whose context ended: this side's reason, or
// ErrDisconnected. It is nil where the context lives.
func CancelError(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if f := LocalCancelCause(ctx); f != nil {
		return f
	}
	return ErrDisconnected
}

// Canceled is why ctx ended, where that is known, else err.
func Canceled(ctx context.Context, err error) error {
	if canceled := CancelError(ctx); canceled != nil {
		return canceled
	}
	return err
}

// KindOf sorts what ended a call; "" for nil.
func KindOf(err error) pipeline.ErrorKind {
	if errors.Is(err, ErrDisconnected) {
		return pipeline.CallerDisconnected
	}
	return pipeline.KindOf(err)
}
