package pipeline

import (
	"encoding/hex"
	"hash/fnv"
	"strings"
)

// Trace identifies a call in a distributed trace, as in W3C Trace Context
// (https://www.w3.org/TR/trace-context/). IDs are lower-case hexadecimal.
type Trace struct {
	TraceID string // the caller's trace ID, otherwise one derived from the call's ID
	Parent  string // the caller's span ID, or ""
	SpanID  string // the call's own span ID
	Flags   string // two digits; "01" means sampled
}

// TraceOf returns the trace of a call from its ID and the traceparent header of the request
// ("" if absent). The same call always has the same IDs.
func TraceOf(id, traceparent string) Trace {
	span := fnv.New64a()
	span.Write([]byte(id))
	t := Trace{SpanID: hex.EncodeToString(span.Sum(nil)), Flags: "01"}
	if trace, parent, flags, ok := parseTraceparent(traceparent); ok {
		t.TraceID, t.Parent, t.Flags = trace, parent, flags
		return t
	}
	trace := fnv.New128a()
	trace.Write([]byte(id))
	t.TraceID = hex.EncodeToString(trace.Sum(nil))
	return t
}

// Called reports whether the caller sent a traceparent.
func (t Trace) Called() bool { return t.Parent != "" }

// Traceparent returns the traceparent header value for requests that the call makes.
func (t Trace) Traceparent() string { return "00-" + t.TraceID + "-" + t.SpanID + "-" + t.Flags }

// parseTraceparent parses version-traceid-parentid-flags. Versions above 00 may have more
// fields.
func parseTraceparent(text string) (id, parent, flags string, ok bool) {
	parts := strings.Split(strings.TrimSpace(text), "-")
	if len(parts) < 4 || parts[0] == "00" && len(parts) != 4 || parts[0] == "ff" {
		return "", "", "", false
	}
	for i, n := range []int{2, 32, 16, 2} {
		if len(parts[i]) != n || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return "", "", "", false
		}
	}
	if strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return "", "", "", false
	}
	return parts[1], parts[2], parts[3], true
}
