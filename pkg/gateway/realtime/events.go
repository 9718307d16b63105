package realtime

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// ErrorEvent returns the event for an error of Hostless's own. eventID is the ID of the
// message that caused it, or "".
func ErrorEvent(err error, eventID string) []byte {
	f := fault.From(err)
	object := openai.ErrorOf(f).Value()
	object.Put("event_id", jsonscan.Lit("null"))
	if eventID != "" {
		object.PutText("event_id", eventID)
	}
	return errorEvent(f.Kind.Status(), object)
}

// EventWriter is the http.ResponseWriter of a request that came as a WebSocket message. It
// sends each event of the response as a message, and a response that is not an event stream
// as an error event. It must be used by one goroutine.
type EventWriter struct {
	send   func([]byte) error
	header http.Header
	status int
	events bool
	split  sse.Splitter
	buf    []byte
	err    error
}

// NewEventWriter returns a writer that passes each event to send.
func NewEventWriter(send func([]byte) error) *EventWriter {
	return &EventWriter{send: send, header: http.Header{}}
}

// Header implements http.ResponseWriter.
func (w *EventWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *EventWriter) WriteHeader(status int) {
	if status < 200 {
		return
	}
	w.status = status
	w.events = status == http.StatusOK && respond.IsEventStream(w.header.Get("Content-Type"))
}

// Write implements http.ResponseWriter.
func (w *EventWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if len(w.buf)+len(p) > maxEvent {
		w.err = errors.New("an event is too long")
		return 0, w.err
	}
	w.buf = append(w.buf, p...)
	if !w.events {
		return len(p), nil
	}
	from := 0
	for {
		end, ok := w.split.Next(w.buf)
		if !ok {
			break
		}
		data := sse.Data(w.buf[from:end])
		from = end
		if len(data) == 0 || string(data) == "[DONE]" {
			continue
		}
		if w.err = w.send(data); w.err != nil {
			return 0, w.err
		}
	}
	w.buf = w.buf[:copy(w.buf, w.buf[from:])]
	w.split.Shift(from)
	return len(p), nil
}

// Flush implements http.Flusher. It does nothing, since each event is sent at once.
func (w *EventWriter) Flush() {}

const maxEvent = 64 << 20

// Status returns the status that was written, or 0.
func (w *EventWriter) Status() int { return w.status }

// Finish sends a response that is not an event stream as an error event.
func (w *EventWriter) Finish() {
	if w.status != 0 && !w.events && w.err == nil {
		w.send(ProviderErrorEvent(w.status, w.buf))
	}
}

// ProviderErrorEvent returns the event for a provider's error response, with its error
// object or, if it has none, its text.
func ProviderErrorEvent(status int, body []byte) []byte {
	object, _ := jsonscan.Member(body, "error")
	found := jsonscan.Raw(object.Of(body))
	if found.Kind() != '{' {
		message := string(bytes.ToValidUTF8(body[:min(len(body), 2048)], []byte("?")))
		found = openai.Error{Message: message, Type: "upstream_error"}.Value()
	}
	return errorEvent(status, found)
}

func errorEvent(status int, object jsonscan.Value) []byte {
	return jsonscan.Obj(
		jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"error"`)},
		jsonscan.Field{Name: "status", Value: jsonscan.Raw(strconv.AppendInt(nil, int64(status), 10))},
		jsonscan.Field{Name: "error", Value: object}).JSON()
}
