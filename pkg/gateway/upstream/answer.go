package upstream

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// PathMissing reports whether a response means that the path does not exist, and not that
// the model does not. It reads a part of the body and puts it back.
func PathMissing(ctx context.Context, resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
	default:
		return false
	}
	head, ok := Head(ctx, resp)
	return ok && !bytes.Contains(bytes.ToLower(head), []byte("model"))
}

// Head reads the first 64 KiB of a response body and puts them back. ok is false if ctx was
// cancelled meanwhile.
func Head(ctx context.Context, resp *http.Response) (head []byte, ok bool) {
	head, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil && ctx.Err() != nil {
		return nil, false
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return head, true
}

// keyRefusals are the texts with which providers refuse a key under an unexpected status:
// Google and xAI with 400, OpenAI with 429 for an account without credit
// (https://ai.google.dev/gemini-api/docs/troubleshooting,
// https://docs.x.ai/docs/key-information/debugging,
// https://platform.openai.com/docs/guides/error-codes).
var keyRefusals = map[int][][]byte{
	http.StatusBadRequest:      {[]byte("API_KEY_INVALID"), []byte("API key not valid"), []byte("Incorrect API key provided")},
	http.StatusTooManyRequests: {[]byte(`"insufficient_quota"`)},
}

// KeyRefused reports whether an error response refuses the key, although its status does
// not say so. It reads a part of the body and puts it back.
func KeyRefused(ctx context.Context, resp *http.Response) bool {
	texts := keyRefusals[resp.StatusCode]
	if texts == nil {
		return false
	}
	head, _ := Head(ctx, resp)
	for _, text := range texts {
		if bytes.Contains(head, text) {
			return true
		}
	}
	return false
}

// RetryAfter returns the delay that a provider asks for: Retry-After (RFC 9110 section
// 10.2.3) or OpenAI's Retry-After-Ms; 0 if there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// FirstByte is a body that records when its first byte was read.
type FirstByte struct {
	io.ReadCloser
	Now func() time.Time
	At  time.Time // zero until then
}

// Read implements io.Reader.
func (f *FirstByte) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && f.At.IsZero() {
		f.At = f.Now()
	}
	return n, err
}

// Ready reports whether a Read would return at once. It returns false if the transport
// cannot tell.
func (f *FirstByte) Ready() bool {
	body, ok := f.ReadCloser.(interface{ Ready() bool })
	return ok && body.Ready()
}
