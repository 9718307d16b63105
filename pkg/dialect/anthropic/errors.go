package anthropic

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// types are the error types of Anthropic
// (https://platform.claude.com/docs/en/api/errors).
var types = map[string]bool{
	"invalid_request_error": true, "authentication_error": true, "billing_error": true, "permission_error": true,
	"not_found_error": true, "request_too_large": true, "rate_limit_error": true, "api_error": true,
	"timeout_error": true, "overloaded_error": true,
}

func typeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return "timeout_error"
	case http.StatusServiceUnavailable, 529:
		return "overloaded_error"
	}
	if status >= 500 || status < 400 {
		return "api_error"
	}
	return "invalid_request_error"
}

func envelope(kind, message, requestID string) []byte {
	b := append([]byte(`{"type":"error","error":{"type":`), jsonscan.Quote(kind)...)
	b = append(append(b, `,"message":`...), jsonscan.Quote(message)...)
	b = append(b, '}')
	if requestID != "" {
		b = append(append(b, `,"request_id":`...), jsonscan.Quote(requestID)...)
	}
	return append(b, '}')
}

// Fault returns the body of an error response in Anthropic's envelope, with the
// type that Anthropic uses for that status.
func Fault(err *fault.Error) []byte {
	return envelope(typeOf(err.Kind.Status()), err.Error(), "")
}

// Ping returns the event that keeps a Messages client's stream alive. It may occur
// between any two events.
func Ping() sse.Event { return sse.Event{Name: "ping", Data: []byte(`{"type":"ping"}`)} }

// ModelInfo describes one model of a list.
type ModelInfo struct {
	ID          string
	DisplayName string    // the id if ""
	Created     time.Time // 1970 if zero, which Anthropic sends for unknown dates
}

// AppendModel appends one model in the form of Anthropic's GET /v1/models/{id}.
func AppendModel(b []byte, m ModelInfo) []byte {
	if m.DisplayName == "" {
		m.DisplayName = m.ID
	}
	if m.Created.IsZero() {
		m.Created = time.Unix(0, 0)
	}
	b = append(append(b, `{"type":"model","id":`...), jsonscan.Quote(m.ID)...)
	b = append(append(b, `,"display_name":`...), jsonscan.Quote(m.DisplayName)...)
	b = append(append(b, `,"created_at":`...), jsonscan.Quote(m.Created.UTC().Format(time.RFC3339))...)
	return append(b, '}')
}

// upstreamError is an error of an upstream, whatever its envelope was.
type upstreamError struct {
	Type    string          `json:"type"`
	Message string          `json:"message"`
	Param   json.RawMessage `json:"param"`
	Code    json.RawMessage `json:"code"`
}

// readError finds the error in a body: {"error":{…}} of both dialects;
// {"error":"text"}, {"message":"text"} and {"detail":…} of smaller servers; or
// plain text.
func readError(status int, body []byte) upstreamError {
	var outer struct {
		Error     json.RawMessage `json:"error"`
		Message   json.RawMessage `json:"message"`
		Detail    json.RawMessage `json:"detail"`
		RequestID json.RawMessage `json:"request_id"`
	}
	var e upstreamError
	if jsonscan.Decode(body, &outer) == nil {
		for _, raw := range []json.RawMessage{outer.Error, outer.Message, outer.Detail} {
			if rawjson.Set(raw) == nil {
				continue
			}
			if text, ok := jsonscan.Text(raw); ok {
				e.Message = text
				break
			}
			if jsonscan.KindOf(raw) == '{' {
				jsonscan.Decode(raw, &e) // members of another type stay empty
			}
			if e.Message == "" {
				e.Message = string(rawjson.Compact(raw))
			}
			break
		}
	}
	if e.Message == "" {
		e.Message = clip(string(bytes.TrimSpace(body)), 1000)
	}
	if e.Message == "" {
		e.Message = "the provider answered " + strings.TrimSpace(http.StatusText(status)) + " without a reason"
	}
	return e
}

func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + "…"
}

// chatError converts an error to OpenAI's envelope. status is 0 for an error within
// a stream.
func chatError(status int, body []byte) []byte {
	e := readError(status, body)
	if e.Type == "" {
		e.Type = typeOf(status)
	}
	if overflows(e) && rawjson.Set(e.Code) == nil {
		e.Code = jsonscan.Quote(dialect.ContextLengthExceeded)
	}
	return chatEnvelope(e)
}

// tooLong is how Anthropic's message for a conversation longer than the context
// begins. Claude Code compacts the conversation when it reads it.
const tooLong = "prompt is too long"

// overflows reports whether an error means that the conversation is too long.
func overflows(e upstreamError) bool {
	return dialect.IsContextOverflow(string(e.Code)+" "+e.Type, e.Message)
}

func chatEnvelope(e upstreamError) []byte {
	return openai.Error{Message: e.Message, Type: e.Type, Param: jsonscan.Raw(e.Param), Code: jsonscan.Raw(e.Code)}.Body()
}

// messagesError converts an error to Anthropic's envelope.
func messagesError(status int, header http.Header, body []byte) []byte {
	e := readError(status, body)
	if code, err := strconv.Atoi(string(e.Code)); status == 0 && err == nil {
		status = code // some providers send the status there in a stream
	}
	// OpenAI uses invalid_request_error for a bad key and an unknown model as well:
	// if the status has a type of its own, that is more exact.
	refused := status >= 400 && status < 500
	if word := typeOf(status); !types[e.Type] || refused && (word != "invalid_request_error" || e.Type == "api_error") {
		e.Type = word
	}
	if overflows(e) {
		e.Type = "invalid_request_error"
		if !strings.Contains(strings.ToLower(e.Message), tooLong) {
			e.Message = tooLong + ": " + e.Message
		}
	}
	id := header.Get("Request-Id")
	if id == "" {
		id = header.Get("X-Request-Id")
	}
	return envelope(e.Type, e.Message, id)
}
