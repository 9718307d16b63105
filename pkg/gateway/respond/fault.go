package respond

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
)

// ErrorHeader is the response header that shows whether an error comes from Hostless or
// from the provider, so that a provider's 401 is not mistaken for an invalid bridge token.
const ErrorHeader = "X-Hostless-Error"

// The values of ErrorHeader.
const (
	ErrorLocal    = "local"
	ErrorUpstream = "upstream"
)

// errorBody encodes an error of Hostless's own in the caller's dialect.
func errorBody(d dialect.Name, f *fault.Error) []byte {
	switch d {
	case dialect.Anthropic:
		return anthropic.Fault(f)
	case dialect.Gemini:
		return gemini.Fault(f)
	case dialect.Ollama:
		return ollama.Fault(f)
	}
	return openai.Fault(f)
}

// Fault writes an error response for an error of Hostless's own.
func Fault(w http.ResponseWriter, d dialect.Name, err error) {
	f := fault.From(err)
	body := errorBody(d, f)
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	h[ErrorHeader] = []string{ErrorLocal}
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(float64(f.RetryAfter) / float64(time.Second))))}
	}
	if f.NoRetry {
		h["X-Should-Retry"] = []string{"false"}
	}
	if f.Kind.Status() == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Bearer realm="hostless"`}
	}
	w.WriteHeader(f.Kind.Status())
	w.Write(body)
}

// streamFault returns the last event of a stream that failed after it had started.
func streamFault(d dialect.Name, f *fault.Error) []byte {
	body := errorBody(d, f)
	switch d {
	case dialect.Anthropic:
		return append(append([]byte("event: error\ndata: "), body...), "\n\n"...)
	case dialect.Ollama:
		return append(body, '\n')
	case dialect.Responses:
		body = openai.ErrorOf(f).StreamBody()
		return append(append([]byte("event: error\ndata: "), body...), "\n\n"...)
	default:
		return append(append([]byte("data: "), body...), "\n\n"...)
	}
}
