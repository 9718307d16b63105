// Package sse reads and writes server-sent events (WHATWG HTML, "Server-sent events",
// https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
// It implements the framing only. Each event comes with its raw bytes, so that a proxy can
// forward it unchanged. The dialects interpret the data.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxEvent is the default limit on the bytes of one event. It is large because an image or
// a piece of audio arrives in a single event.
const MaxEvent = 32 << 20

// ErrTooLong is returned for an event that exceeds the limit.
var ErrTooLong = errors.New("server-sent event too long")

// Event is one event, or one block of comments. A block without data is delivered too, with
// a nil Data, since it keeps connections alive.
type Event struct {
	Name    string // the `event` field; "" if absent
	Data    []byte // the `data` lines joined by \n; nil if there are none
	ID      string // the `id` field
	Comment string // the last comment line, without its colon and one leading space
	Raw     []byte // the bytes as received, with the closing blank line; nil for an event to be encoded
}

// Reader reads events from a byte stream. It is not safe for concurrent use.
type Reader struct {
	in     *bufio.Reader
	max    int
	raw    []byte
	data   []byte
	start  bool // nothing has been read yet
	skipLF bool // the last line ended in CR
}

// NewReader returns a Reader of r that refuses events of more than max bytes; a max of 0 or
// less means MaxEvent.
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 {
		max = MaxEvent
	}
	return &Reader{in: bufio.NewReaderSize(r, 16<<10), max: max, start: true, data: []byte{}}
}

// Next returns the next event. Its byte slices are valid until the next call. At the end of
// the stream the error is io.EOF; an incomplete last event is returned first, together with
// io.ErrUnexpectedEOF, so that no byte is lost.
func (r *Reader) Next() (Event, error) {
	r.raw = r.raw[:0]
	var ev Event
	data := r.data[:0]
	defer func() { r.data = data }()
	hasData, hasLine := false, false
	for {
		line, err := r.line()
		if err != nil {
			if len(line) > 0 {
				field(line, &ev, &data, &hasData)
				hasLine = true
			}
			if errors.Is(err, io.EOF) && hasLine {
				ev.Raw = r.raw
				if hasData {
					ev.Data = data
				}
				return ev, io.ErrUnexpectedEOF
			}
			return Event{}, err
		}
		if len(line) == 0 {
			if !hasLine {
				continue // blank lines between events go to the Raw of the next one
			}
			ev.Raw = r.raw
			if hasData {
				ev.Data = data
			}
			return ev, nil
		}
		hasLine = true
		field(line, &ev, &data, &hasData)
	}
}

// line reads up to LF, CRLF or CR, appends the line with its ending to raw, and returns the
// line without the ending.
func (r *Reader) line() ([]byte, error) {
	from := len(r.raw)
	for {
		if r.in.Buffered() == 0 {
			if _, err := r.in.Peek(1); err != nil {
				return r.text(from), err
			}
		}
		chunk, _ := r.in.Peek(r.in.Buffered())
		if r.skipLF {
			// This LF belongs to a CRLF whose CR ended the previous line. Waiting for it
			// there would have delayed a complete event.
			r.skipLF = false
			if chunk[0] == '\n' {
				r.raw = append(r.raw, '\n')
				r.in.Discard(1)
				from = len(r.raw)
				continue
			}
		}
		end := lineEnd(chunk)
		if end < 0 {
			if len(r.raw)+len(chunk) > r.max {
				return nil, ErrTooLong
			}
			r.raw = append(r.raw, chunk...)
			r.in.Discard(len(chunk))
			continue
		}
		if len(r.raw)+end > r.max {
			return nil, ErrTooLong
		}
		r.raw = append(r.raw, chunk[:end+1]...)
		stop := len(r.raw) - 1
		r.skipLF = chunk[end] == '\r'
		r.in.Discard(end + 1)
		return r.strip(from, stop), nil
	}
}

// lineEnd returns the index of the first CR or LF, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

func (r *Reader) text(from int) []byte { return r.strip(from, len(r.raw)) }

// strip returns raw[from:to], without the byte order mark if it is the start of the stream.
func (r *Reader) strip(from, to int) []byte {
	line := r.raw[from:to]
	if r.start {
		r.start = false
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return line
}

func field(line []byte, ev *Event, data *[]byte, hasData *bool) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "":
		ev.Comment = string(value)
	case "event":
		ev.Name = string(value)
	case "id":
		ev.ID = string(value)
	case "data":
		if *hasData {
			*data = append(*data, '\n')
		}
		*data = append(*data, value...)
		*hasData = true
	}
}

// Append appends an event to b in wire format: Raw if it is set, otherwise the fields and a
// blank line.
func Append(b []byte, ev Event) []byte {
	if ev.Raw != nil {
		return append(b, ev.Raw...)
	}
	if ev.Comment != "" || (ev.Data == nil && ev.Name == "") {
		b = append(append(append(b, ": "...), ev.Comment...), '\n')
	}
	if ev.Name != "" {
		b = append(append(append(b, "event: "...), ev.Name...), '\n')
	}
	if ev.ID != "" {
		b = append(append(append(b, "id: "...), ev.ID...), '\n')
	}
	if ev.Data != nil {
		for _, line := range bytes.Split(ev.Data, []byte("\n")) {
			b = append(append(append(b, "data: "...), line...), '\n')
		}
	}
	return append(b, '\n')
}
