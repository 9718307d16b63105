package gateway

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// splitter finds whole events in a growing buffer of server-sent events without
// decoding them. It remembers how far it has looked, so that each byte is looked
// at once however the stream is cut.
type splitter struct {
	line   int  // where the line in progress begins
	seen   int  // how far was looked for the line's end
	partly bool // the line's beginning has left the buffer
}

// next gives the end of the next whole event in buf, or false. Lines end with
// LF, CRLF or CR.
func (s *splitter) next(buf []byte) (end int, ok bool) {
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

// carriage looks for an event that lone CRs end before limit. Two CRs in a row
// end a line and then a blank one, unless the second belongs to a CRLF.
func (s *splitter) carriage(buf []byte, limit int) (end int, ok bool) {
	from := max(s.line, s.seen-2)
	if i := bytes.Index(buf[from:limit], []byte("\r\r")); i >= 0 && from+i+2 < limit {
		end = from + i + 2
		s.line, s.seen, s.partly = end, end, false
		return end, true
	}
	s.seen = limit
	if limit < len(buf) {
		s.seen = limit // the LF itself is the caller's
	}
	return 0, false
}

// shift tells that n bytes were taken off the front of the buffer.
func (s *splitter) shift(n int) {
	s.partly = s.partly || s.line < n && s.seen > s.line
	s.line, s.seen = max(s.line-n, 0), max(s.seen-n, 0)
}

// eventData gives an event's data: the bytes themselves where it is one line, as
// it nearly always is, else its lines joined by LF; nil where it has none.
func eventData(ev []byte) []byte {
	var data []byte
	n := 0
	for len(ev) > 0 {
		line := ev
		if i := bytes.IndexAny(ev, "\r\n"); i >= 0 {
			line, ev = ev[:i], ev[i+1:]
		} else {
			ev = nil
		}
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
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

var (
	doneMark     = []byte("[DONE]")
	finishMark   = []byte(`"finish_reason":"`)
	finishSpaced = []byte(`"finish_reason": "`)
	errorMark    = []byte(`"error"`)
	choicesMark  = []byte(`"choices"`)
	typeMark     = []byte(`"type"`)
	finishReason = []byte(`"finishReason"`)
	stopMark     = []byte(`"message_stop"`)
	endMarks     = [][]byte{[]byte(`"response.completed"`), []byte(`"response.incomplete"`), []byte(`"response.failed"`), []byte(`"response.cancelled"`)}
)

// ending is how near its end a stream is.
type ending int

const (
	running  ending = iota
	finished        // the model has finished: a connection that is closed in good order broke nothing off
	ended           // the last event has come: nothing that follows matters
)

// endingOf tells what an event says of its stream's end.
func endingOf(d dialect.Name, data []byte) ending {
	if bytes.Contains(data, errorMark) {
		if v, ok := jsonscan.Member(data, "error"); ok && data[v.Start] != 'n' {
			return ended // the provider has told of its own failure
		}
	}
	switch d {
	case dialect.OpenAI:
		switch {
		case bytes.Equal(data, doneMark):
			return ended
		case bytes.Contains(data, finishMark), bytes.Contains(data, finishSpaced):
			return finished
		}
	case dialect.Anthropic:
		if bytes.Contains(data, stopMark) && typeOf(data) == "message_stop" {
			return ended
		}
	case dialect.Responses:
		for _, mark := range endMarks {
			if bytes.Contains(data, mark) && string(mark) == `"`+typeOf(data)+`"` {
				return ended
			}
		}
	case dialect.Gemini:
		if bytes.Contains(data, finishReason) {
			return finished
		}
	default:
		return finished
	}
	return running
}

// typeOf is an event's `type`, which comes first in nearly all.
func typeOf(data []byte) string {
	if !bytes.Contains(data, typeMark) {
		return ""
	}
	span, ok := jsonscan.Member(data, "type")
	if !ok {
		return ""
	}
	s, _ := jsonscan.Text(span.Of(data))
	return s
}

// onlyUsage reports whether a chat chunk is the one that include_usage adds: no
// choices, and the usage.
func onlyUsage(data []byte) bool {
	if !bytes.Contains(data, usageMark) || !bytes.Contains(data, choicesMark) {
		return false
	}
	choices, ok := jsonscan.Member(data, "choices")
	if !ok || len(bytes.Trim(choices.Of(data), "[] \t\r\n")) != 0 {
		return false
	}
	usage, ok := jsonscan.Member(data, "usage")
	return ok && data[usage.Start] == '{'
}
