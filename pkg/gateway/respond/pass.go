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

// Answer is what must be known of a request to send its answer.
type Answer struct {
	Request  *http.Request // the caller's
	Caller   dialect.Name  // of errors, and of a translation
	Events   dialect.Name  // what the provider's events are in, which tells their end; "" where none is known
	Provider string        // canonical
	Model    string        // by the provider's name for it
	Ignored  []string      // fields of the request that were dropped
	Attempts int           // how many candidates were tried, this one included
	Upload   bool          // below Gemini's /upload

	Progress *pipeline.Progress // is told of each event of a stream; nil is not

	DropUsage   bool            // the chunk of a stream that holds nothing but the usage is not the caller's
	Redact      redact.Redactor // for a good answer
	RedactError redact.Redactor // for an error, where shorter keys count too
}

// Result is what was seen of an answer on its way. It is valid beside an error.
type Result struct {
	Status   int                // what the caller got; 0 where nothing was sent
	Kind     pipeline.ErrorKind // of an error that the provider answered
	Stream   bool               // events were sent
	Usage    usage.Report
	Reported bool  // the provider reported what was used
	Events   int64 // how many of a stream's the provider sent
}

func (r *Result) see(u usage.Report, ok bool) {
	if ok {
		r.Usage.Merge(u)
		r.Reported = true
	}
}

// wholeLimit is the largest answer of a known length, or error, that is read as a
// whole before it goes on.
const wholeLimit = 1 << 20

func (a *Answer) redactor(failed bool) redact.Redactor {
	if failed {
		return a.RedactError
	}
	return a.Redact
}

// Pass sends a provider's answer on in its own bytes. The error is what kept it from
// being complete: a fault (sent to the caller already where w is committed),
// ErrDisconnected or a TruncatedError.
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
		h["Content-Type"] = nil // or net/http would guess one
	}
	if !failed && !events && a.Events != "" && a.Request.Method == http.MethodPost {
		if in, events = sniffEvents(in); events {
			h["Content-Type"] = []string{"text/event-stream"}
		}
	}
	a.SetHeaders(h)
	a.ownUploads(h)
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
		delete(h, "Content-Length") // of a stream, in which events may stay behind
		return a.passEvents(ctx, w, resp.StatusCode, in)
	case failed || length >= 0 && length <= wholeLimit && len(resp.Trailer) == 0:
		return a.passWhole(ctx, w, resp.StatusCode, in, length, result)
	default:
		return a.passPieces(ctx, w, resp, in, length, result)
	}
}

// decompress undoes the coding of an answer that came compressed though it must be
// read.
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

// incomplete is the error of an answer that ended before it was complete, of which
// nothing has been sent: the provider's headers are not its headers.
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
	s := stream{w: w, upstream: a.Events, caller: a.Caller, key: a.Redact, dropUsage: a.DropUsage, provider: a.Provider, progress: a.Progress}
	w.Header()["X-Accel-Buffering"] = []string{"no"}
	w.WriteHeader(status)
	if body, ok := in.(interface{ Ready() bool }); !ok || !body.Ready() {
		w.Flush() // the caller learns that it is answered before the first event has come
	}
	err := s.run(ctx, in)
	s.result.Status, s.result.Stream = status, true
	return s.result, err
}

// passWhole reads the answer whole and sends it whole.
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
		data = data[:n] // what did not come must not be sent: the buffer held another answer
	} else {
		data, err = io.ReadAll(io.LimitReader(in, wholeLimit))
		more = len(data) == wholeLimit
	}
	if err != nil && (!failed || ctx.Err() != nil) {
		return result, a.incomplete(ctx, w, err)
	}
	if !failed {
		result.see(usage.Parse(data))
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

// passPieces passes on what is long or of unknown length as it comes.
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
	return result, truncated(ctx, err)
}

// truncated is the error of an answer that was cut off while it was passed on: the
// caller must not take it for the whole.
func truncated(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, ErrDisconnected) {
		return err
	}
	if canceled := CancelError(ctx); canceled != nil {
		return &TruncatedError{canceled}
	}
	return &TruncatedError{&fault.Error{Kind: fault.Upstream, Message: "the provider closed the connection before the response was complete", Err: errors.Join(pipeline.ErrIncomplete, err)}}
}
