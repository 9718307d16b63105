package sse

import "bytes"

// Splitter finds the ends of events in a growing buffer of server-sent events, without
// decoding them. It remembers how far it has scanned, so that each byte is scanned once
// however the stream is split into reads.
type Splitter struct {
	line   int  // start of the current line
	seen   int  // end of the scanned bytes of that line
	partly bool // the start of the current line was shifted out of the buffer
}

// Next returns the index after the next complete event in buf; ok is false while there is
// none. Lines end with LF, CRLF or CR.
func (s *Splitter) Next(buf []byte) (end int, ok bool) {
	for {
		i := bytes.IndexByte(buf[s.seen:], '\n')
		if i < 0 {
			return s.carriage(buf, len(buf))
		}
		lf := s.seen + i
		if end, ok := s.carriage(buf, lf); ok {
			return end, true
		}
		line, partly := buf[s.line:lf], s.partly
		s.partly = false
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		s.line, s.seen = lf+1, lf+1
		if len(line) == 0 && !partly || len(line) > 0 && line[len(line)-1] == '\r' {
			return lf + 1, true
		}
	}
}

// carriage looks for an event before limit that ends with two lone CRs. The second CR does
// not count if it is part of a CRLF.
func (s *Splitter) carriage(buf []byte, limit int) (end int, ok bool) {
	from := max(s.line, s.seen-2)
	if i := bytes.Index(buf[from:limit], []byte("\r\r")); i >= 0 && from+i+2 < limit {
		end = from + i + 2
		s.line, s.seen, s.partly = end, end, false
		return end, true
	}
	s.seen = limit
	return 0, false
}

// Shift records that n bytes were removed from the front of the buffer.
func (s *Splitter) Shift(n int) {
	s.partly = s.partly || s.line < n && s.seen > s.line
	s.line, s.seen = max(s.line-n, 0), max(s.seen-n, 0)
}

// Data returns the data of an event. A single line, the usual case, is a slice of ev;
// several lines are joined by LF in a new slice. It returns nil if ev has no data field.
func Data(ev []byte) []byte {
	var data []byte
	n := 0
	for len(ev) > 0 {
		line := ev
		if i := bytes.IndexByte(ev, '\n'); i >= 0 {
			line = ev[:i]
		}
		if i := bytes.IndexByte(line, '\r'); i >= 0 {
			line = line[:i]
		}
		ev = ev[min(len(line)+1, len(ev)):]
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if n++; n == 1 {
			data = value[:len(value):len(value)]
			if value == nil {
				data = []byte{}
			}
			continue
		}
		data = append(append(data, '\n'), value...)
	}
	return data
}
