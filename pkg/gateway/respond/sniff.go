package respond

import (
	"bufio"
	"bytes"
	"io"
)

// eventFields are the possible starts of a line of an event stream. JSON starts with none
// of them.
var eventFields = [...]string{"data:", "event:", "id:", "retry:", ":"}

// sniffEvents reports whether a response is an event stream by its first bytes, for servers
// that send no Content-Type or a wrong one. The response must then be read from in.
func sniffEvents(body io.Reader) (in io.Reader, events bool) {
	r := bufio.NewReaderSize(body, burstSize)
	skip := 0 // length of the byte order mark and blank lines
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
		// Peek one byte more at a time, because a stream may pause after a short comment.
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
