package respond

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// ending is how close a stream is to its end.
type ending int

const (
	running  ending = iota
	finished        // there is a finish reason: if the connection closes now, the response is complete
	ended           // the final event was received
)

// event has the properties of one event that matter for forwarding.
type event struct {
	end       ending
	failed    bool // the provider reports an error
	report    usage.Report
	reported  bool
	onlyUsage bool // the usage chunk of include_usage: it has the usage but no choices
}

var (
	finishMark   = []byte(`"finish_reason":"`)
	finishSpaced = []byte(`"finish_reason": "`)
	finishReason = []byte(`"finishReason"`)
	errorMark    = []byte(`"error"`)
	usageMark    = []byte(`"usage`)
	nullMember   = []byte(`":null`)
	messageStop  = []byte(`"message_stop"`)
	responsePart = []byte(`{"type":"response.`)
	quote        = []byte(`"`)
)

// members has the positions of the members of an event that are used.
type members struct{ kind, failure, choices, candidates, usage, metadata, outer jsonscan.Span }

// uneventful reports whether an event has neither usage, nor an error, nor the end of the
// stream, as most events. It only searches for a few names; if it returns false, the event
// must be parsed.
func uneventful(d dialect.Name, data []byte) bool {
	switch d {
	case dialect.OpenAI:
		if endOfText(d, data) != running || string(data) == "[DONE]" {
			return false
		}
	case dialect.Anthropic:
		if bytes.Contains(data, messageStop) {
			return false
		}
	case dialect.Responses:
		// Only events of the whole response end it. Most events are about a part of it.
		kind, whole := bytes.CutPrefix(data, responsePart)
		kind, _, _ = bytes.Cut(kind, quote)
		if !whole || bytes.IndexByte(kind, '.') < 0 {
			return false
		}
	default:
		return false
	}
	if bytes.Contains(data, errorMark) {
		return false
	}
	i := bytes.Index(data, usageMark)
	return i < 0 || bytes.HasPrefix(data[i+len(usageMark):], nullMember) && !bytes.Contains(data[i+len(usageMark):], usageMark)
}

// readEvent reads the properties of an event, in at most one pass over its members.
func readEvent(d dialect.Name, data []byte) (e event) {
	if uneventful(d, data) {
		return e
	}
	return parseEvent(d, data)
}

func parseEvent(d dialect.Name, data []byte) (e event) {
	if string(data) == "[DONE]" {
		if d == dialect.OpenAI {
			e.end = ended
		}
		return e
	}
	var m members
	_, err := jsonscan.Skim(data, func(key []byte, v jsonscan.Span) error {
		switch string(key) {
		case "type":
			m.kind = v
		case "error":
			m.failure = v
		case "choices":
			m.choices = v
		case "candidates":
			m.candidates = v
		case "usage":
			m.usage = v
		case "usageMetadata":
			m.metadata = v
		case "response", "message":
			m.outer = v
		}
		return nil
	})
	if err != nil {
		e.end = endOfText(d, data)
		return e
	}
	if m.usage.End == 0 {
		m.usage = m.metadata
	}
	if isObject(data, m.usage) || isObject(data, m.outer) {
		e.report, e.reported = usage.Parse(data)
		e.onlyUsage = m.choices.End > 0 && isObject(data, m.usage) && len(bytes.Trim(m.choices.Of(data), "[] \t\r\n")) == 0
	}
	e.end, e.failed = m.ending(d, data), m.failed(d, data)
	return e
}

func isObject(data []byte, v jsonscan.Span) bool { return v.End > 0 && data[v.Start] == '{' }

// failed reports whether the provider reports an error.
func (m *members) failed(d dialect.Name, data []byte) bool {
	if m.failure.End > 0 && data[m.failure.Start] != 'n' {
		return true
	}
	return d == dialect.Responses && string(m.kind.Of(data)) == `"response.failed"`
}

// ending returns how close the stream is to its end after this event.
func (m *members) ending(d dialect.Name, data []byte) ending {
	if m.failed(d, data) {
		return ended
	}
	switch d {
	case dialect.OpenAI:
		return endOfText(d, m.choices.Of(data))
	case dialect.Anthropic:
		if string(m.kind.Of(data)) == `"message_stop"` {
			return ended
		}
	case dialect.Responses:
		switch string(m.kind.Of(data)) {
		case `"response.completed"`, `"response.incomplete"`, `"response.cancelled"`:
			return ended
		}
	case dialect.Gemini:
		return endOfText(d, m.candidates.Of(data))
	default:
		return finished
	}
	return running
}

// endOfText searches for a finish reason, in the part of an event that may have it or in an
// event that is not JSON.
func endOfText(d dialect.Name, text []byte) ending {
	switch d {
	case dialect.OpenAI:
		if bytes.Contains(text, finishMark) || bytes.Contains(text, finishSpaced) {
			return finished
		}
	case dialect.Gemini:
		if bytes.Contains(text, finishReason) {
			return finished
		}
	case dialect.Anthropic, dialect.Responses:
	default:
		return finished
	}
	return running
}
