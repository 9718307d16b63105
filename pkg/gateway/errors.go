package gateway

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

// ErrorHeader tells whose error an answer is, so that a provider's 401 is not
// taken for a bad bridge token.
const ErrorHeader = "X-Hostless-Error"

// Its values.
const (
	errorLocal    = "local"
	errorUpstream = "upstream"
)

// errorBody dresses an error of Hostless's own in the caller's dialect.
func errorBody(d dialect.Name, f *fault.Error) []byte {
	var v any
	switch d {
	case dialect.Anthropic:
		v = map[string]any{"type": "error", "error": map[string]any{"type": anthropicType(f.Kind), "message": f.Error()}}
	case dialect.Gemini:
		v = map[string]any{"error": map[string]any{"code": f.Kind.Status(), "message": f.Error(), "status": geminiStatus(f.Kind)}}
	case dialect.Ollama:
		v = map[string]any{"error": f.Error()}
	default:
		v = map[string]any{"error": openAIError(f)}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(`{"error":{"message":"internal error","type":"internal_error","param":null,"code":null}}`)
	}
	return b
}

// openAIError has all four members, null where empty.
func openAIError(f *fault.Error) map[string]any {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return map[string]any{"message": f.Error(), "type": f.Kind.Type(), "param": orNull(f.Param), "code": orNull(f.Code)}
}

func anthropicType(k fault.Kind) string {
	switch k {
	case fault.Unauthenticated, fault.Expired:
		return "authentication_error"
	case fault.Origin, fault.Scope, fault.Forbidden:
		return "permission_error"
	case fault.NotFound:
		return "not_found_error"
	case fault.TooLarge:
		return "request_too_large"
	case fault.RateLimited:
		return "rate_limit_error"
	case fault.Invalid, fault.Method, fault.Unconfigured, fault.Conflict, fault.Usage:
		return "invalid_request_error"
	case fault.UpstreamTimeout:
		return "timeout_error"
	default:
		return "api_error"
	}
}

func geminiStatus(k fault.Kind) string {
	switch k {
	case fault.Unauthenticated, fault.Expired:
		return "UNAUTHENTICATED"
	case fault.Origin, fault.Scope, fault.Forbidden:
		return "PERMISSION_DENIED"
	case fault.NotFound:
		return "NOT_FOUND"
	case fault.RateLimited:
		return "RESOURCE_EXHAUSTED"
	case fault.Unconfigured:
		return "FAILED_PRECONDITION"
	case fault.Invalid, fault.Method, fault.TooLarge, fault.Conflict, fault.Usage:
		return "INVALID_ARGUMENT"
	case fault.UpstreamTimeout:
		return "DEADLINE_EXCEEDED"
	case fault.Upstream, fault.Locked:
		return "UNAVAILABLE"
	default:
		return "INTERNAL"
	}
}

// writeFault answers with an error of Hostless's own.
func writeFault(w http.ResponseWriter, d dialect.Name, err error) {
	f := fault.From(err)
	body := errorBody(d, f)
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	h[ErrorHeader] = []string{errorLocal}
	if f.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(float64(f.RetryAfter) / float64(time.Second))))}
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
		v := openAIError(f)
		v["error"] = openAIError(f)
		v["code"], v["type"] = f.Kind.Type(), "error"
		if b, err := json.Marshal(v); err == nil {
			body = b
		}
		return append(append([]byte("event: error\ndata: "), body...), "\n\n"...)
	default:
		return append(append([]byte("data: "), body...), "\n\n"...)
	}
}
