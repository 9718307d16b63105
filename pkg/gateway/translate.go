package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/sse"
)

// sendTranslated carries a request to a provider of another dialect, and its
// answer back in the caller's.
func (c *exchange) sendTranslated(w way, body []byte, stream bool) error {
	c.lease.Keep() // conversations and streams may keep a part of it
	header := upstream.RequestHeader(c.r.Header)
	call, err := w.translate(dialect.Request{
		Model: c.model, Provider: c.cred.Provider, Stream: stream, Header: header, Body: body,
	})
	if err != nil {
		return err
	}
	if err := c.checkTranslated(call.Body); err != nil {
		return err
	}
	c.ignored = call.Ignored
	for name := range header {
		// Of the caller's dialect, which the provider does not speak.
		for _, own := range [...]string{"Anthropic-", "Openai-", "X-Goog-"} {
			if strings.HasPrefix(name, own) {
				delete(header, name)
			}
		}
	}
	for name, values := range call.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	upstream.ForceIdentity(header)
	for _, name := range []string{"Content-Encoding", "Expect", "Accept"} {
		delete(header, name)
	}
	header["Content-Type"] = []string{"application/json"}
	ctx, cancel := c.context()
	defer cancel()
	resp, err := c.roundTrip(ctx, &upstream.Request{
		Endpoint: w.endpoint, Method: http.MethodPost, Path: call.Path, Header: header, Body: call.Body, Repeatable: true,
	})
	if err != nil {
		return c.unanswered(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return c.answer(ctx, resp) // a redirect is the caller's to judge, as it came
	}
	return c.answerTranslated(ctx, resp, call, w.endpoint.Dialect)
}

// checkTranslated holds what a translation made of a request against the scope
// of a token that is limited to certain models: extra_body may have brought in
// what would not have passed in the request itself.
func (c *exchange) checkTranslated(data []byte) error {
	if !c.limited() {
		return nil
	}
	b, err := body.Parse(data)
	if err != nil {
		return err
	}
	if name := strings.TrimPrefix(b.Model, geminiModels); name != "" && name != c.model {
		return &fault.Error{Kind: fault.Scope, Message: "another model than the request's cannot be used with a bridge token that is limited to certain models", Param: "model", Code: "model_not_allowed"}
	}
	return c.checkModels(b)
}

// translatedLimit bounds an answer that must be read whole to be translated.
const translatedLimit = 64 << 20

func (c *exchange) answerTranslated(ctx context.Context, resp *http.Response, call *dialect.Call, speaks dialect.Name) error {
	failed := resp.StatusCode >= 400
	key := c.redactor(failed)
	in := io.Reader(resp.Body)
	if plain, ok := c.unfold(resp); ok {
		defer plain.Close()
		in = plain
	}
	h := c.w.Header()
	downHeader(h, resp.Header, key)
	nameRequest(h, c.speaks)
	for _, name := range []string{"Content-Type", "Content-Encoding", "Etag", "Content-Md5", "Digest", "Content-Digest"} {
		delete(h, name) // of another body than the one that goes down
	}
	c.mark(h)
	if !failed && call.Stream && isEventStream(resp.Header.Get("Content-Type")) {
		return c.answerStream(ctx, in, call, speaks, key)
	}
	data, err := io.ReadAll(io.LimitReader(in, translatedLimit))
	if err != nil && (!failed || ctx.Err() != nil) {
		return c.incomplete(ctx, err)
	}
	data = key.Bytes(data)
	status := resp.StatusCode
	if told := errorWithin(data); !failed && told != 0 {
		status, failed = told, true
	}
	if !failed && call.Stream && speaks == dialect.OpenAI {
		if events, ok := openai.AsStream(data); ok {
			return c.answerStream(ctx, bytes.NewReader(events), call, speaks, key)
		}
	}
	var out []byte
	if failed {
		h[ErrorHeader] = []string{errorUpstream}
		out = call.Reply.Error(status, resp.Header, data)
		c.account(true, tokens{})
	} else {
		t, _ := spent(data)
		c.account(false, t)
		if out, err = call.Reply.Body(data); err != nil {
			return c.bare(&fault.Error{Kind: fault.Upstream, Message: "provider \"" + c.cred.Provider + "\" gave an answer that cannot be read", Err: err})
		}
	}
	h["Content-Type"] = []string{"application/json"}
	if c.speaks == dialect.Ollama {
		h["Content-Type"] = []string{ollama.ContentType}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(out))}
	c.w.WriteHeader(status)
	if _, err := c.w.Write(out); err != nil {
		return errClient
	}
	return nil
}

// errorWithin gives the status of an error that came with a good one, as
// OpenRouter's do once a model has begun: the one that it names, else 502. It is
// 0 where there is none.
func errorWithin(data []byte) int {
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

// answerStream translates event by event.
func (c *exchange) answerStream(ctx context.Context, in io.Reader, call *dialect.Call, speaks dialect.Name, key redact.Redactor) error {
	h := c.w.Header()
	framing := framingFor(c.speaks, c.r)
	h["Content-Type"] = []string{framing.contentType}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	c.w.WriteHeader(http.StatusOK)
	flush := flusher(c.w)
	flush()
	out := c.stretch(framing, flush)
	defer out.stop()
	events := sse.NewReader(in, 0)
	reply := call.Reply.Stream()
	var t tokens
	var cause error
	for cause == nil {
		ev, err := events.Next()
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) && ev.Raw != nil {
			ev.Data = key.Bytes(ev.Data)
			if u, ok := spent(ev.Data); ok {
				t.merge(u)
			}
			if failed := reply.Event(ev, out.emit); failed != nil {
				cause = failed
				break
			}
			if out.send() != nil {
				c.account(false, t)
				return errClient
			}
		}
		if err != nil {
			cause = err
		}
	}
	if errors.Is(cause, io.EOF) {
		cause = nil
	}
	if ctx.Err() != nil {
		f := localCancelCause(ctx)
		if f == nil {
			c.account(false, t)
			return errClient
		}
		cause = f
	} else if cause != nil && !errors.As(cause, new(*fault.Error)) {
		cause = &fault.Error{Kind: fault.Upstream, Message: "provider \"" + c.cred.Provider + "\" broke the stream off", Err: cause}
	}
	c.account(false, t)
	reply.End(cause, out.emit)
	if out.close() != nil {
		return errClient
	}
	return c.ended(cause)
}
