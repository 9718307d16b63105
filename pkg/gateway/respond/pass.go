package respond

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/redact"
)

// Answer has what is needed to send the response to a request.
type Answer struct {
	Request  *http.Request // the caller's request
	Caller   dialect.Name  // dialect of errors and of a translation
	Events   dialect.Name  // dialect of the provider's events, to detect their end; "" if unknown
	Provider string        // canonical name
	Model    string        // the provider's name for the model
	Ignored  []string      // request fields that were dropped
	Attempts int           // number of attempts, including this one
	Upload   bool          // the path is below Gemini's /upload

	Progress *pipeline.Progress // counts the events of a stream; may be nil

	// Watch, if not nil, is called with the data of each event of a stream, and with the
	// body of another response that is forwarded as a whole. data is valid during the call.
	Watch func(data []byte)

	DropUsage   bool            // do not forward the chunk of a stream that has only the usage
	Redact      redact.Redactor // for successful responses
	RedactError redact.Redactor // for errors, in which shorter keys are redacted too
}

// Result describes a response that was sent. It is valid even if there was an error.
type Result struct {
	Status   int                // what the caller received; 0 if nothing was sent
	Kind     pipeline.ErrorKind // the kind of the provider's error
	Stream   bool               // an event stream was sent
	Usage    usage.Report
	Reported bool  // the provider reported the usage
	Events   int64 // number of events that the provider sent
}

func (r *Result) see(u usage.Report, ok bool) {
	if ok {
		r.Usage.Merge(u)
		r.Reported = true
	}
}

// wholeLimit is the size up to which a response of known length, or an error, is read
// completely before it is forwarded.
const wholeLimit = 1 << 20

func (a *Answer) redactor(failed bool) redact.Redactor {
	if failed {
		return a.RedactError
	}
	return a.Redact
}

// Pass forwards a provider's response unchanged. The error says why it is incomplete: a
// fault (already sent to the caller if w is committed), ErrDisconnected or a
// *TruncatedError.
func (a *Answer) Pass(ctx context.Context, w *Writer, resp *http.Response) (Result, error) {
	failed := resp.StatusCode >= 400
	key := a.redactor(failed)
	contentType := resp.Header.Get("Content-Type")
	events := IsEventStream(contentType)
	in := io.Reader(resp.Body)
	length := resp.ContentLength
	if failed || events || isJSON(contentType) || a.Events != "" {
		if plain, ok := a.decompress(resp); ok {
			defer plain.Close()
			in, length = plain, -1
		}
	}
	h := w.Header()
	CopyHeader(h, resp.Header, key)
	if _, given := resp.Header["Content-Type"]; !given {
		h["Content-Type"] = nil // otherwise net/http would guess one
	}
	if !failed && !events && a.Events != "" && a.Request.Method == http.MethodPost {
		if in, events = sniffEvents(in); events {
			h["Content-Type"] = []string{"text/event-stream"}
		}
	}
	a.SetHeaders(h)
	a.rewriteUploadURL(h)
	if failed {
		h[ErrorHeader] = []string{ErrorUpstream}
	}
	if len(resp.Trailer) > 0 {
		for name := range resp.Trailer {
			h.Add("Trailer", name)
		}
		defer func() {
			for name, values := range resp.Trailer {
				h[name] = values
			}
		}()
	}
	result := Result{Kind: pipeline.KindOfStatus(resp.StatusCode)}
	switch {
	case a.Request.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified:
		if length >= 0 && a.Request.Method == http.MethodHead {
			h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
		}
		result.Status = resp.StatusCode
		w.WriteHeader(resp.StatusCode)
		return result, nil
	case events && !failed && h.Get("Content-Encoding") == "":
		delete(h, "Content-Length") // events of the stream may be dropped
		return a.passEvents(ctx, w, resp.StatusCode, in)
	case failed || length >= 0 && length <= wholeLimit && len(resp.Trailer) == 0:
		return a.passWhole(ctx, w, resp.StatusCode, in, length, result)
	default:
		return a.passPieces(ctx, w, resp, in, length, result)
	}
}

// decompress decodes the body of a response that must be read but is compressed. ok is
// false if the body is not compressed or its coding is not supported.
func (a *Answer) decompress(resp *http.Response) (io.ReadCloser, bool) {
	encoding := strings.ToLower(resp.Header.Get("Content-Encoding"))
	if encoding == "" || encoding == "identity" || a.Request.Method == http.MethodHead {
		return nil, false
	}
	plain, err := body.Decompress(encoding, resp.Body, 1<<30)
	if err != nil {
		return nil, false
	}
	delete(resp.Header, "Content-Encoding")
	return plain, true
}

// incomplete returns the error for a response that ended early, before any of it was sent.
// It discards the provider's headers.
func (a *Answer) incomplete(ctx context.Context, w *Writer, err error) error {
	w.Discard()
	if canceled := CancelError(ctx); canceled != nil {
		return canceled
	}
	return &fault.Error{
		Kind: fault.Upstream, Err: errors.Join(pipeline.ErrIncomplete, err),
		Message: "provider \"" + a.Provider + "\" closed the connection before the response was complete",
	}
}

func (a *Answer) passEvents(ctx context.Context, w *Writer, status int, in io.Reader) (Result, error) {
	s := stream{w: w, upstream: a.Events, caller: a.Caller, key: a.Redact, dropUsage: a.DropUsage, provider: a.Provider, progress: a.Progress, watch: a.Watch}
	w.Header()["X-Accel-Buffering"] = []string{"no"}
	w.WriteHeader(status)
	if body, ok := in.(interface{ Ready() bool }); !ok || !body.Ready() {
		w.Flush() // so that the caller gets the headers before the first event
	}
	err := s.run(ctx, in)
	s.result.Status, s.result.Stream = status, true
	return s.result, err
}

// passWhole reads the whole response before it sends it.
func (a *Answer) passWhole(ctx context.Context, w *Writer, status int, in io.Reader, length int64, result Result) (Result, error) {
	failed := status >= 400
	key := a.redactor(failed)
	var data []byte
	var err error
	pooled := chunks.Get().(*[]byte)
	defer chunks.Put(pooled)
	more := false
	if length >= 0 && length <= wholeLimit {
		if data = (*pooled)[:0]; int64(cap(data)) < length {
			data = make([]byte, 0, length)
		}
		var n int
		n, err = io.ReadFull(in, data[:length])
		data = data[:n] // the rest of the pooled buffer has the bytes of another response
	} else {
		data, err = io.ReadAll(io.LimitReader(in, wholeLimit))
		more = len(data) == wholeLimit
	}
	if err != nil && (!failed || ctx.Err() != nil) {
		return result, a.incomplete(ctx, w, err)
	}
	if !failed {
		result.see(usage.Parse(data))
		if a.Watch != nil {
			a.Watch(data)
		}
	}
	h := w.Header()
	result.Status = status
	if more {
		w.WriteHeader(status)
		r := relay{w: w, key: key}
		return result, truncated(ctx, r.run(io.MultiReader(bytes.NewReader(data), in)))
	}
	data = key.Bytes(data)
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		return result, ErrDisconnected
	}
	return result, nil
}

// passPieces forwards a long response, or one of unknown length, while it arrives.
func (a *Answer) passPieces(ctx context.Context, w *Writer, resp *http.Response, in io.Reader, length int64, result Result) (Result, error) {
	r := relay{w: w, key: a.Redact}
	if length >= 0 {
		w.Header()["Content-Length"] = []string{strconv.FormatInt(length, 10)}
		r.fixed = true
	}
	if isJSON(resp.Header.Get("Content-Type")) {
		r.keep = wholeLimit
	}
	result.Status = resp.StatusCode
	w.WriteHeader(resp.StatusCode)
	w.Flush()
	err := r.run(in)
	result.see(usage.Parse(r.kept))
	if a.Watch != nil && len(r.kept) > 0 {
		a.Watch(r.kept)
	}
	return result, truncated(ctx, err)
}

// truncated returns the error for a response that was cut off after a part of it was sent.
// It makes the server abort the connection, so that the caller notices.
func truncated(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, ErrDisconnected) {
		return err
	}
	if canceled := CancelError(ctx); canceled != nil {
		return &TruncatedError{canceled}
	}
	return &TruncatedError{&fault.Error{Kind: fault.Upstream, Message: "the provider closed the connection before the response was complete", Err: errors.Join(pipeline.ErrIncomplete, err)}}
}
