package respond

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
)

// ErrorHeader tells whose error an answer is, so that a provider's 401 is not
// taken for a bad bridge token.
const ErrorHeader = "X-Hostless-Error"

// Its values.
const (
	ErrorLocal    = "local"
	ErrorUpstream = "upstream"
)

// errorBody dresses an error of Hostless's own in the caller's dialect.
func errorBody(d dialect.Name, f *fault.Error) []byte {
	switch d {
	case dialect.Anthropic:
		return anthropic.Fault(f)
	case dialect.Gemini:
		return gemini.Fault(f)
	case dialect.Ollama:
		return ollama.Fault(f)
	}
	b, err := json.Marshal(map[string]any{"error": OpenAIError(f)})
	if err != nil {
		return []byte(`{"error":{"message":"internal error","type":"internal_error","param":null,"code":null}}`)
	}
	return b
}

// OpenAIError is the error object of OpenAI's dialect: it has all four members, null where empty.
func OpenAIError(f *fault.Error) map[string]any {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return map[string]any{"message": f.Error(), "type": f.Kind.Type(), "param": orNull(f.Param), "code": orNull(f.Code)}
}

// Fault answers with an error of Hostless's own.
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

// streamFault is the one event that ends a stream that failed after it began.
func streamFault(d dialect.Name, f *fault.Error) []byte {
	body := errorBody(d, f)
	switch d {
	case dialect.Anthropic:
		return append(append([]byte("event: error\ndata: "), body...), "\n\n"...)
	case dialect.Ollama:
		return append(body, '\n')
	case dialect.Responses:
		// OpenAI's shape of a Responses error event, with the envelope that its
		// SDKs look for in any stream.
		v := OpenAIError(f)
		v["error"] = OpenAIError(f)
		v["code"], v["type"] = f.Kind.Type(), "error"
		if b, err := json.Marshal(v); err == nil {
			body = b
		}
		return append(append([]byte("event: error\ndata: "), body...), "\n\n"...)
	default:
		return append(append([]byte("data: "), body...), "\n\n"...)
	}
}
