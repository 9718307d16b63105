package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/redact"
)

// wholeLimit is the largest answer of a known length, or error, that is read as
// a whole before it goes on.
const wholeLimit = 1 << 20

// roundTrip sends a request up, and hands informational answers (103 and the like)
// down as they come.
func (c *exchange) roundTrip(ctx context.Context, o *upstream.Request) (*http.Response, error) {
	return c.g.up.Do(ctx, o, c.cred.Key, func(status int, header http.Header) {
		h := c.w.Header()
		before := h.Clone()
		downHeader(h, header, c.redactor(true))
		c.w.WriteHeader(status)
		clear(h)
		for name, values := range before {
			h[name] = values
		}
	})
}

// send carries a request out natively: the answer's own bytes go to the caller.
func (c *exchange) send(o *upstream.Request) error {
	ctx, cancel := c.context()
	defer cancel()
	resp, err := c.roundTrip(ctx, o)
	if err != nil {
		return c.unanswered(ctx, err)
	}
	defer resp.Body.Close()
	return c.answer(ctx, resp)
}

// context ends with the caller's connection and with its token.
func (c *exchange) context() (context.Context, context.CancelFunc) {
	if c.grant == nil {
		return context.WithCancel(c.r.Context())
	}
	return c.grant.Context(c.r.Context())
}

// localCancelCause is why this side ended a request, as its caller is told: the
// token was revoked, or the daemon stops. It is nil where the context lives, or the
// caller itself has disconnected.
func localCancelCause(ctx context.Context) *fault.Error {
	var f *fault.Error
	switch {
	case ctx.Err() == nil || !errors.As(context.Cause(ctx), &f):
		return nil
	case f.Kind == fault.Unauthenticated:
		return &fault.Error{Kind: fault.Unauthenticated, Message: "the bridge token was revoked"}
	}
	return f
}

// unanswered is the error of a request that no answer came to.
func (c *exchange) unanswered(ctx context.Context, err error) error {
	c.account(true, tokens{})
	if canceled := cancelError(ctx); canceled != nil {
		return canceled
	}
	return upstream.Error(c.cred.Provider, err)
}

// cancelError is the error of a request whose context ended: this side's reason, or
// errClient. It is nil where the context lives.
func cancelError(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	if f := localCancelCause(ctx); f != nil {
		return f
	}
	return errClient
}

// incomplete is the error of an answer that ended before it was whole, of which
// nothing has been sent: the provider's headers are not its headers.
func (c *exchange) incomplete(ctx context.Context, err error) error {
	c.account(true, tokens{})
	if canceled := cancelError(ctx); canceled != nil {
		return c.bare(canceled)
	}
	return c.bare(&fault.Error{
		Kind: fault.Upstream, Code: pipeline.CodeIncomplete, Err: err,
		Message: "provider \"" + c.cred.Provider + "\" closed the connection before the response was complete",
	})
}

// answer hands an upstream's answer to the caller.
func (c *exchange) answer(ctx context.Context, resp *http.Response) error {
	failed := resp.StatusCode >= 400
	key := c.redactor(failed)
	contentType := resp.Header.Get("Content-Type")
	events := isEventStream(contentType)
	body := io.Reader(resp.Body)
	length := resp.ContentLength
	if failed || events || isJSON(contentType) {
		if plain, ok := c.unfold(resp); ok {
			defer plain.Close()
			body, length = plain, -1
		}
	}
	h := c.w.Header()
	downHeader(h, resp.Header, key)
	if _, told := resp.Header["Content-Type"]; !told {
		h["Content-Type"] = nil // or net/http would guess one
	}
	c.mark(h)
	c.ownUploads(h)
	if failed {
		h[ErrorHeader] = []string{errorUpstream}
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
	switch {
	case c.r.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified:
		if length >= 0 && c.r.Method == http.MethodHead {
			h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
		}
		c.w.WriteHeader(resp.StatusCode)
		c.account(failed, tokens{})
		return nil
	case events && !failed && h.Get("Content-Encoding") == "":
		return c.answerEvents(ctx, resp, body, key)
	case failed || length >= 0 && length <= wholeLimit && len(resp.Trailer) == 0:
		return c.answerWhole(ctx, resp, body, length, key)
	default:
		return c.answerPieces(ctx, resp, body, length, key)
	}
}

// ownUploads leads the second step of a Gemini upload back here: at the address
// that Google names, the caller would send its bridge token to Google.
func (c *exchange) ownUploads(h http.Header) {
	values := h["X-Goog-Upload-Url"]
	if !c.matched.Upload || len(values) != 1 {
		return
	}
	u, err := url.Parse(values[0])
	if err != nil {
		return
	}
	i := strings.Index(u.Path, "/upload/v1")
	if i < 0 {
		return
	}
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	own := url.URL{Scheme: scheme, Host: c.r.Host, Path: u.Path[i:], RawQuery: u.RawQuery}
	h["X-Goog-Upload-Url"] = []string{own.String()}
}

// mark names who answered.
func (c *exchange) mark(h http.Header) {
	if c.cred.Provider != "" {
		h["X-Hostless-Provider"] = []string{c.cred.Provider}
	}
	if c.model != "" {
		h["X-Hostless-Model"] = []string{headerSafe(c.model)}
	}
	if len(c.ignored) > 0 {
		h["X-Hostless-Ignored"] = []string{headerSafe(namesOf(c.ignored))}
	}
}

// maxIgnored bounds the header that names what was dropped: the names are the
// caller's, and clients give up on long headers.
const maxIgnored = 2 << 10

// namesOf lists names up to that bound.
func namesOf(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if b.Len()+len(name) > maxIgnored {
			b.WriteString("...")
			break
		}
		b.WriteString(name)
		if i < len(names)-1 {
			b.WriteString(", ")
		}
	}
	return b.String()
}

// headerSafe keeps a caller's text from being more than one header value.
func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// unfold decodes an answer that came compressed though it must be read.
func (c *exchange) unfold(resp *http.Response) (io.ReadCloser, bool) {
	encoding := strings.ToLower(resp.Header.Get("Content-Encoding"))
	if encoding == "" || encoding == "identity" || c.r.Method == http.MethodHead {
		return nil, false
	}
	plain, err := body.Decompress(encoding, resp.Body, 1<<30)
	if err != nil {
		return nil, false
	}
	delete(resp.Header, "Content-Encoding")
	return plain, true
}

func (c *exchange) answerEvents(ctx context.Context, resp *http.Response, body io.Reader, key redact.Redactor) error {
	s := stream{
		w: c.w, flush: flusher(c.w), upstream: c.matched.Dialect, caller: c.speaks, key: key,
		dropUsage: c.dropUsage, provider: c.cred.Provider,
	}
	if !c.matched.Generates() || c.matched.Kind == endpoint.CountTokens {
		s.upstream = "" // no known end
	}
	h := c.w.Header()
	h["X-Accel-Buffering"] = []string{"no"}
	c.w.WriteHeader(resp.StatusCode)
	s.flush()
	err := s.run(ctx, body)
	c.account(false, s.spent)
	return c.ended(err)
}

// ended is what is left to say of an answer that has begun: the caller has been
// told already, so that errors are for the log alone.
func (c *exchange) ended(err error) error {
	if err == nil || errors.Is(err, errClient) {
		return err
	}
	return &begun{err}
}

// begun wraps an error that came after the answer's beginning.
type begun struct{ cause error }

func (b *begun) Error() string { return b.cause.Error() }
func (b *begun) Unwrap() error { return b.cause }

// answerWhole reads the answer whole and sends it whole.
func (c *exchange) answerWhole(ctx context.Context, resp *http.Response, body io.Reader, length int64, key redact.Redactor) error {
	failed := resp.StatusCode >= 400
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
		n, err = io.ReadFull(body, data[:length])
		data = data[:n] // what did not come must not be told: the buffer held another answer
	} else {
		data, err = io.ReadAll(io.LimitReader(body, wholeLimit))
		more = len(data) == wholeLimit
	}
	if err != nil && (!failed || ctx.Err() != nil) {
		return c.incomplete(ctx, err)
	}
	var t tokens
	if !failed {
		var ok bool
		if t, ok = spent(data); !ok {
			t, _ = spentInArray(data)
		}
	}
	h := c.w.Header()
	if more {
		c.w.WriteHeader(resp.StatusCode)
		r := relay{w: c.w, flush: flusher(c.w), key: key}
		c.account(failed, t)
		if err := r.run(io.MultiReader(bytes.NewReader(data), body)); err != nil {
			panic(http.ErrAbortHandler) // no other way is left to tell
		}
		return nil
	}
	data = key.Bytes(data)
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	c.w.WriteHeader(resp.StatusCode)
	c.account(failed, t)
	if _, err := c.w.Write(data); err != nil {
		return errClient
	}
	return nil
}

// bare takes the provider's headers off again before an error of Hostless's own.
func (c *exchange) bare(err error) error {
	h := c.w.Header()
	for name := range h {
		if !strings.HasPrefix(name, "Access-Control-") && name != "Vary" {
			delete(h, name)
		}
	}
	return err
}

// answerPieces passes on what is long or of unknown length as it comes.
func (c *exchange) answerPieces(ctx context.Context, resp *http.Response, body io.Reader, length int64, key redact.Redactor) error {
	h := c.w.Header()
	r := relay{w: c.w, flush: flusher(c.w), key: key}
	if length >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
		r.fixed = true
	}
	if isJSON(resp.Header.Get("Content-Type")) {
		r.keep = wholeLimit
	}
	c.w.WriteHeader(resp.StatusCode)
	r.flush()
	err := r.run(body)
	t, ok := spent(r.kept)
	if !ok {
		t, _ = spentInArray(r.kept)
	}
	c.account(false, t)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errClient):
		return err
	}
	c.log(ctx, &begun{err})
	panic(http.ErrAbortHandler) // the caller must not take it for the whole
}

// missing reports whether an answer says that the path does not exist, and not
// that the model does not. What was read of the body is put back.
func (c *exchange) missing(ctx context.Context, resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
	default:
		return false
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil && ctx.Err() != nil {
		return false
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return !bytes.Contains(bytes.ToLower(head), []byte("model"))
}
