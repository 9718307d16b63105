package respond

import (
	"bufio"
	"bytes"
	"io"
)

// eventFields open a line of an event stream; JSON opens with none of their letters.
var eventFields = [...]string{"data:", "event:", "id:", "retry:", ":"}

// sniffEvents reports whether an answer is an event stream by its first bytes, for
// servers that do not say so, or something else. Reading goes on with in.
func sniffEvents(body io.Reader) (in io.Reader, events bool) {
	r := bufio.NewReaderSize(body, eventSize)
	skip := 0 // a byte order mark and blank lines
	for {
		head, err := r.Peek(skip + 1)
		if err != nil {
			return r, false
		}
		if c := head[skip]; c == '\n' || c == '\r' || skip < len(byteOrderMark) && byteOrderMark[skip] == c {
			if skip++; skip < maxBlank {
				continue
			}
		}
		break
	}
	for _, field := range eventFields {
		// One letter more at a time: a stream may be silent behind a short comment.
		for n := 1; ; n++ {
			head, err := r.Peek(skip + n)
			if err != nil || !bytes.HasPrefix([]byte(field), head[skip:]) {
				break
			}
			if n == len(field) {
				return r, true
			}
		}
	}
	return r, false
}

const (
	byteOrderMark = "\xef\xbb\xbf"
	maxBlank      = 64
)
