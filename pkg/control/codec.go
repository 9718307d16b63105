package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// decode reads a request's JSON object into out. It ignores unknown members, and takes an
// empty body for an empty object. The error is fault.Invalid and names a member of the
// wrong type. It never quotes the body, which may contain a secret.
func decode(w http.ResponseWriter, r *http.Request, out any) error {
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Now().Add(anyRequestTime)) // not every ResponseWriter supports deadlines
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	rc.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, fmt.Sprintf("the request's body is longer than %d bytes", maxBody))
	}
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: "the request's body cannot be read", Err: err}
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil
	}
	if data[0] != '{' {
		return fault.New(fault.Invalid, "the request's body must be a JSON object")
	}
	err = json.Unmarshal(data, out)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		name := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]
		want := typeName(wrong.Type)
		if inList(out, name) {
			want = "a list of strings"
		}
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("%s must be %s", name, want), Param: name}
	}
	return fault.New(fault.Invalid, "the request's body is not valid JSON")
}

// maxTTL is ten years in seconds, which cannot overflow a time.Duration.
const maxTTL = 10 * 365 * 24 * 3600

// checkTTL returns an error for a lifetime out of range.
func checkTTL(ttl int64) error {
	if ttl < 0 || ttl > maxTTL {
		return &fault.Error{Kind: fault.Invalid, Message: "ttl must be a number of seconds, at most ten years", Param: "ttl"}
	}
	return nil
}

// typeName describes the JSON type of a Go type.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list of strings"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	if t == reflect.TypeFor[Secret]() || t == reflect.PointerTo(reflect.TypeFor[Secret]()) {
		return "a string"
	}
	return "an object"
}

// inList reports whether a member of out is a list. For a wrong entry of a list the decoder
// reports the list's name and the entry's type.
func inList(out any, name string) bool {
	t := reflect.TypeOf(out).Elem()
	if t.Kind() != reflect.Struct {
		return false
	}
	for _, f := range reflect.VisibleFields(t) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type.Kind() == reflect.Slice
		}
	}
	return false
}

// answer writes v as JSON with status 200.
func answer(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		writeFault(w, fault.From(err))
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(data, '\n'))
}

// fail writes an error. Internal errors are logged with their cause.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	if f.Kind == fault.Internal {
		s.log.Error("control request failed", "route", r.Pattern, "error", f.Err)
	}
	writeFault(w, f)
}

func writeFault(w http.ResponseWriter, f *fault.Error) {
	failed(w, f)
	data, err := json.Marshal(wireError{Error: bodyOf(f)})
	if err != nil {
		panic(err) // strings and a number always marshal
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds(f.RetryAfter), 10))
	}
	w.WriteHeader(f.Kind.Status())
	w.Write(append(data, '\n'))
}

func bodyOf(f *fault.Error) errorBody {
	return errorBody{
		Message: f.Message, Type: f.Kind.Type(), Next: f.Next, Code: f.Code, Param: f.Param, RetryAfter: seconds(f.RetryAfter),
	}
}

// seconds rounds up, so that no client retries too early.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// filled replaces nil lists with empty ones.
func filled(s Scope) Scope {
	if s.AllowedProviders == nil {
		s.AllowedProviders = []string{}
	}
	if s.AllowedModels == nil {
		s.AllowedModels = []string{}
	}
	return s
}
