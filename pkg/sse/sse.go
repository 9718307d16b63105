// Package sse reads and writes server-sent events (WHATWG HTML, "Server-sent
// events", https://html.spec.whatwg.org/multipage/server-sent-events.html).
//
// It owns the framing alone: events come out whole however the bytes were
// split, with their own bytes beside them for whoever passes them on unchanged.
// What the data means is left to the dialects.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxEvent is the default bound on one event's bytes: images and audio come
// whole in one.
const MaxEvent = 32 << 20

// ErrTooLong is the error of an event that passes the bound.
var ErrTooLong = errors.New("server-sent event too long")

// Event is one event, or one block of comments. A block without data is
// delivered too (Data nil): it keeps connections alive.
type Event struct {
	Name    string // the `event` field, "" where there was none
	Data    []byte // the `data` lines joined by \n; nil where there was none
	ID      string // the `id` field
	Comment string // the last comment line, without its colon and one space
	Raw     []byte // the block's own bytes with its closing blank line, or nil for an event made here
}

// Reader takes events off a byte stream. It is not safe for concurrent use.
type Reader struct {
	in     *bufio.Reader
	max    int
	raw    []byte
	data   []byte
	start  bool // nothing was read yet
	skipLF bool // the last line ended in CR
}

// NewReader reads from r; max bounds one event in bytes, MaxEvent if it is 0.
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 {
		max = MaxEvent
	}
	return &Reader{in: bufio.NewReaderSize(r, 16<<10), max: max, start: true, data: []byte{}}
}

// Next gives the next event. Its byte slices hold until the next call. At the
// end of the stream it is io.EOF; a block that the end cut off comes first,
// with io.ErrUnexpectedEOF beside it, so that no byte is lost.
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
				continue // blank lines between blocks belong to the next one's Raw
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

// line reads up to LF, CRLF or CR, appends all of it to raw and returns the
// part before the ending.
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
			// The LF of a CRLF whose CR ended the line before: waiting for it
			// there would have held a finished event back.
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

// lineEnd is where the first CR or LF is, or -1.
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

// strip drops the byte order mark that a stream may open with.
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

// Append adds an event to b in wire form: Raw if it has any, else its fields
// and the blank line.
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
