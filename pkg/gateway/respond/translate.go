package respond

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/sse"
)

// translatedLimit limits the size of a response that must be read completely to be
// translated.
const translatedLimit = 64 << 20

// Translate sends a provider's response in the caller's dialect; speaks is the provider's
// dialect. A redirect is forwarded unchanged. The errors are those of Pass.
func (a *Answer) Translate(ctx context.Context, w *Writer, resp *http.Response, call *dialect.Call, speaks dialect.Name) (Result, error) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return a.Pass(ctx, w, resp)
	}
	failed := resp.StatusCode >= 400
	key := a.redactor(failed)
	in := io.Reader(resp.Body)
	if plain, ok := a.decompress(resp); ok {
		defer plain.Close()
		in = plain
	}
	h := w.Header()
	CopyHeader(h, resp.Header, key)
	copyRequestID(h, a.Caller)
	for _, name := range []string{"Content-Type", "Content-Encoding", "Etag", "Content-Md5", "Digest", "Content-Digest"} {
		delete(h, name) // these describe the original body
	}
	a.SetHeaders(h)
	events := IsEventStream(resp.Header.Get("Content-Type"))
	if !failed && call.Stream && !events {
		in, events = sniffEvents(in)
	}
	if !failed && call.Stream && events {
		return a.translateEvents(ctx, w, in, call, key)
	}
	result := Result{Kind: pipeline.KindOfStatus(resp.StatusCode)}
	data, err := io.ReadAll(io.LimitReader(in, translatedLimit))
	if err != nil && (!failed || ctx.Err() != nil) {
		return result, a.incomplete(ctx, w, err)
	}
	data = key.Bytes(data)
	status := resp.StatusCode
	if within := embeddedErrorStatus(data); !failed && within != 0 {
		status, failed = within, true
		result.Kind = pipeline.KindOfStatus(within)
	}
	if !failed && call.Stream && speaks == dialect.OpenAI {
		if events, ok := openai.AsStream(data); ok {
			return a.translateEvents(ctx, w, bytes.NewReader(events), call, key)
		}
	}
	var out []byte
	if failed {
		h[ErrorHeader] = []string{ErrorUpstream}
		out = call.Reply.Error(status, resp.Header, data)
		if speaks == dialect.Gemini {
			gemini.SetRetryAfter(h, data)
		}
		if call.Stream && a.Caller == dialect.Responses && bytes.Contains(out, []byte(`"`+dialect.ContextLengthExceeded+`"`)) {
			return a.overflowEvents(ctx, w, out, call, result.Kind)
		}
	} else {
		result.see(usage.Parse(data))
		if out, err = call.Reply.Body(data); err != nil {
			w.Discard()
			f := &fault.Error{Kind: fault.Upstream, Message: "provider \"" + a.Provider + "\" sent a response that cannot be read", Err: errors.Join(pipeline.ErrUnreadable, err)}
			var own *fault.Error
			if errors.As(err, &own) && own.Code != "" { // an error of the model, in the provider's words
				f.Message, f.Code = own.Message, own.Code
			}
			return result, f
		}
	}
	h["Content-Type"] = []string{"application/json"}
	if a.Caller == dialect.Ollama {
		h["Content-Type"] = []string{ollama.ContentType}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(out))}
	result.Status = status
	w.WriteHeader(status)
	if _, err := w.Write(out); err != nil {
		return result, ErrDisconnected
	}
	return result, nil
}

// overflowEvents reports that a conversation is too long to a caller of the Responses API.
// Like OpenAI it sends response.failed in a stream, because Codex compacts the conversation
// only then.
func (a *Answer) overflowEvents(ctx context.Context, w *Writer, failure []byte, call *dialect.Call, kind pipeline.ErrorKind) (Result, error) {
	event := append(jsonscan.AppendCompact([]byte("data: "), failure), "\n\n"...)
	outermost := &dialect.Call{Stream: true, Reply: dialect.Outermost(call.Reply)}
	result, err := a.translateEvents(ctx, w, bytes.NewReader(event), outermost, redact.Redactor{})
	result.Kind = kind
	return result, err
}

// embeddedErrorStatus returns the status of an error inside a response with a success
// status, as OpenRouter sends it once a model has started: the code of the error, or 502.
// It returns 0 if there is none.
func embeddedErrorStatus(data []byte) int {
	if !bytes.Contains(data, errorMark) {
		return 0
	}
	span, ok := jsonscan.Member(data, "error")
	if !ok || data[span.Start] != '{' {
		return 0
	}
	var e struct {
		Code json.Number `json:"code"`
	}
	if json.Unmarshal(span.Of(data), &e) == nil {
		if code, err := e.Code.Int64(); err == nil && code >= 400 && code < 600 {
			return int(code)
		}
	}
	return http.StatusBadGateway
}

// translateEvents translates a stream event by event.
func (a *Answer) translateEvents(ctx context.Context, w *Writer, in io.Reader, call *dialect.Call, key redact.Redactor) (Result, error) {
	h := w.Header()
	framing := framingFor(a.Caller, a.Request)
	h["Content-Type"] = []string{framing.contentType}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	w.WriteHeader(http.StatusOK)
	w.Flush()
	out := newEventWriter(w, framing)
	defer out.stop()
	events := sse.NewReader(in, 0)
	reply := call.Reply.Stream()
	result := Result{Status: http.StatusOK, Stream: true}
	var cause error
	for cause == nil {
		ev, err := events.Next()
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) && ev.Raw != nil {
			ev.Data = key.Bytes(ev.Data)
			result.see(usage.Parse(ev.Data))
			result.Events++
			a.Progress.Event()
			if cause = reply.Event(ev, out.emit); cause != nil {
				break
			}
			if out.send() != nil {
				return result, ErrDisconnected
			}
		}
		cause = err
	}
	if errors.Is(cause, io.EOF) {
		cause = nil
	}
	if canceled := CancelError(ctx); canceled != nil {
		if errors.Is(canceled, ErrDisconnected) {
			return result, canceled
		}
		cause = canceled
	} else if cause != nil && !errors.Is(cause, dialect.ErrProvider) && !errors.As(cause, new(*fault.Error)) {
		cause = a.brokenStream(cause)
	}
	ended := reply.End(cause, out.emit)
	if out.close() != nil {
		return result, ErrDisconnected
	}
	switch {
	case errors.Is(ended, dialect.ErrProvider):
		result.Kind, ended = pipeline.ProviderError, nil
	case ended != nil && !errors.As(ended, new(*fault.Error)):
		ended = a.brokenStream(ended)
	}
	return result, ended
}

// brokenStream returns the error for a stream that ended early.
func (a *Answer) brokenStream(cause error) *fault.Error {
	return &fault.Error{
		Kind: fault.Upstream, Err: errors.Join(pipeline.ErrIncomplete, cause),
		Message: "provider \"" + a.Provider + "\" closed the connection before the response was complete",
	}
}
