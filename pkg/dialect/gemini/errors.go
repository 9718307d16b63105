package gemini

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// problem is an error, independent of the dialect.
type problem struct {
	status  int    // HTTP status; 0 if not known
	message string // public
	kind    string // OpenAI's type
	code    string // a machine-readable code, or ""
	param   string
	retry   time.Duration
	perDay  bool              // a daily quota is used up
	details []json.RawMessage // Google's error details
}

// statuses lists google.rpc's names (https://cloud.google.com/apis/design/errors)
// with the HTTP status and OpenAI's type for each. For a status, the first row with
// it applies.
var statuses = []struct {
	name   string
	status int
	kind   string
}{
	{"INVALID_ARGUMENT", 400, "invalid_request_error"},
	{"FAILED_PRECONDITION", 400, "invalid_request_error"},
	{"OUT_OF_RANGE", 400, "invalid_request_error"},
	{"INVALID_ARGUMENT", 405, "invalid_request_error"},
	{"INVALID_ARGUMENT", 413, "invalid_request_error"},
	{"INVALID_ARGUMENT", 422, "invalid_request_error"},
	{"UNAUTHENTICATED", 401, "authentication_error"},
	{"PERMISSION_DENIED", 403, "permission_error"},
	{"NOT_FOUND", 404, "not_found_error"},
	{"ABORTED", 409, "invalid_request_error"},
	{"ALREADY_EXISTS", 409, "invalid_request_error"},
	{"RESOURCE_EXHAUSTED", 429, "rate_limit_error"},
	{"CANCELLED", 499, "api_error"},
	{"INTERNAL", 500, "api_error"},
	{"UNKNOWN", 500, "api_error"},
	{"DATA_LOSS", 500, "api_error"},
	{"UNIMPLEMENTED", 501, "api_error"},
	{"UNAVAILABLE", 503, "overloaded_error"},
	{"UNAVAILABLE", 529, "overloaded_error"},
	{"UNAVAILABLE", 502, "overloaded_error"},
	{"DEADLINE_EXCEEDED", 504, "timeout_error"},
}

// statusName returns Google's name for an HTTP status.
func statusName(status int) string {
	for _, row := range statuses {
		if row.status == status {
			return row.name
		}
	}
	if status >= 400 && status < 500 {
		return "INVALID_ARGUMENT"
	}
	return "INTERNAL"
}

// statusOf returns the HTTP status for Google's name or OpenAI's type, or 500 if
// neither is known.
func statusOf(name, kind string) int {
	for _, row := range statuses {
		if name != "" && row.name == name || name == "" && row.kind == kind {
			return row.status
		}
	}
	return http.StatusInternalServerError
}

func kindOf(name string, status int) string {
	for _, row := range statuses {
		if name != "" && row.name == name || name == "" && row.status == status {
			return row.kind
		}
	}
	if status >= 400 && status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}

// anyError is an error in the form of Google, OpenAI or another provider.
type anyError struct {
	Code    json.RawMessage   `json:"code"`
	Message string            `json:"message"`
	Status  string            `json:"status"`
	Type    string            `json:"type"`
	Param   string            `json:"param"`
	Details []json.RawMessage `json:"details"`
}

// readError reads an error body of any dialect. It unwraps a list of one error,
// which Google sends on streams.
func readError(status int, header http.Header, body []byte) problem {
	p := problem{status: status, retry: retryAfter(header)}
	if list, ok := rawjson.Elements(body); ok && len(list) > 0 {
		body = list[0]
	}
	var envelope struct {
		Error json.RawMessage `json:"error"`
	}
	var e anyError
	if json.Unmarshal(body, &envelope) == nil && rawjson.IsObject(envelope.Error) {
		if err := json.Unmarshal(envelope.Error, &e); err != nil {
			e.Message = strings.TrimSpace(string(envelope.Error))
		}
	} else {
		e.Message = dialect.ErrorText(body)
	}
	if e.Status != "" && statusOf(e.Status, "") == 500 && kindOf(e.Status, 0) != "api_error" {
		e.Status = ""
	}
	if p.status == 0 {
		if code, err := strconv.Atoi(strings.Trim(string(e.Code), `"`)); err == nil && code >= 400 && code < 600 {
			p.status = code
		} else {
			p.status = statusOf(e.Status, e.Type)
		}
	}
	p.message, p.kind, p.param, p.details = e.Message, e.Type, e.Param, e.Details
	if p.kind == "" {
		p.kind = kindOf(e.Status, p.status)
	}
	if p.code, _ = rawjson.Text(e.Code); p.code == "" {
		p.code = e.Status
	}
	p.read()
	if dialect.IsContextOverflow(p.code, p.message) {
		p.code = dialect.ContextLengthExceeded // the code that clients know
	}
	if p.message == "" {
		p.message = "the provider answered " + strings.TrimSpace(strconv.Itoa(p.status)+" "+http.StatusText(p.status))
	}
	return p
}

// tooLong is Google's message for a prompt that does not fit in the model's
// context.
const tooLong = "The input token count exceeds the maximum number of tokens allowed"

// inGooglesWords returns an error's message. If the prompt is too long, the message
// begins with Google's own, which its clients recognize.
func (p *problem) inGooglesWords() string {
	lower := strings.ToLower(p.message)
	if p.code != dialect.ContextLengthExceeded || strings.Contains(lower, "input token count") {
		return p.message
	}
	return tooLong + ": " + p.message
}

// SetRetryAfter sets the headers that tell clients of other dialects how long to
// wait. Google only sends this in the details of an error's body. Headers that are
// already set stay.
func SetRetryAfter(h http.Header, body []byte) {
	p := readError(0, nil, body)
	if p.retry > 0 && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.FormatInt(int64((p.retry+time.Second-1)/time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(int64((p.retry+time.Millisecond-1)/time.Millisecond), 10))
	}
	if p.perDay {
		h.Set("X-Should-Retry", "false") // a daily quota is not renewed within a minute
	}
}

// read extracts from Google's details what OpenAI's envelope has members for.
func (p *problem) read() {
	for _, raw := range p.details {
		var d struct {
			Reason     string `json:"reason"`
			RetryDelay string `json:"retryDelay"`
			Violations []struct {
				Field string `json:"field"`
			} `json:"fieldViolations"`
			Quotas []struct {
				ID string `json:"quotaId"`
			} `json:"violations"`
		}
		if json.Unmarshal(raw, &d) != nil {
			continue
		}
		if d.Reason == "API_KEY_INVALID" {
			p.kind, p.code = "authentication_error", d.Reason
		}
		if len(d.Violations) > 0 && p.param == "" {
			p.param = d.Violations[0].Field
		}
		for _, quota := range d.Quotas {
			p.perDay = p.perDay || strings.Contains(quota.ID, "PerDay")
		}
		if delay, err := time.ParseDuration(d.RetryDelay); err == nil && p.retry == 0 {
			p.retry = delay
		}
	}
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseFloat(header.Get("Retry-After"), 64)
	if err != nil || seconds <= 0 || seconds > 1e6 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// broken returns the error for a stream that was not complete.
func broken(cause error) problem { return faulty(dialect.Broken(cause)) }

func faulty(e *fault.Error) problem {
	return problem{status: e.Kind.Status(), message: e.Error(), kind: e.Kind.Type(), code: e.Code, param: e.Param, retry: e.RetryAfter}
}

// chatError returns the error body of the intermediate form.
func chatError(p problem) []byte {
	b := rawjson.AppendString([]byte(`{"error":{"message":`), p.message)
	b = rawjson.AppendString(append(b, `,"type":`...), p.kind)
	for _, m := range []struct{ name, value string }{{`,"code":`, p.code}, {`,"param":`, p.param}} {
		b = append(b, m.name...)
		if m.value == "" {
			b = append(b, "null"...)
		} else {
			b = rawjson.AppendString(b, m.value)
		}
	}
	return append(b, "}}"...)
}

// nativeError returns Google's error body.
func nativeError(p problem) []byte {
	details := p.details
	typed := func(name string, fields ...rawjson.Member) {
		details = append(details, rawjson.Object(append(rawjson.Object{rawjson.T("@type", "type.googleapis.com/google.rpc."+name)}, fields...)).JSON())
	}
	if len(p.details) == 0 {
		reason := p.code
		if reason == "" {
			reason = p.kind
		}
		typed("ErrorInfo", rawjson.T("reason", strings.ToUpper(reason)), rawjson.T("domain", "hostless"))
		if p.param != "" {
			typed("BadRequest", rawjson.M("fieldViolations", rawjson.Array([]json.RawMessage{rawjson.Object{
				rawjson.T("field", p.param), rawjson.T("description", p.message),
			}.JSON()})))
		}
		if p.retry > 0 {
			typed("RetryInfo", rawjson.T("retryDelay", strconv.FormatFloat(p.retry.Seconds(), 'f', -1, 64)+"s"))
		}
	}
	b := strconv.AppendInt([]byte(`{"error":{"code":`), int64(p.status), 10)
	b = rawjson.AppendString(append(b, `,"message":`...), p.inGooglesWords())
	b = rawjson.AppendString(append(b, `,"status":`...), statusName(p.status))
	b = append(append(b, `,"details":`...), rawjson.Array(details)...)
	return append(b, "}}"...)
}

// Fault returns the body of one of Hostless's own errors in Google's form:
// {"error":{"code","message","status","details"}}.
func Fault(err *fault.Error) []byte { return nativeError(faulty(err)) }
