package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
)

// Head is the head of a response as received. It is not safe for concurrent use.
type Head struct {
	Status int
	minor  int    // minor version of HTTP/1
	Text   string // the whole head with its line ends
	rest   string // the field lines, without the empty line
	lines  int
}

// ReadHead reads a response head. If the connection ends before the first byte, the error
// is errStale.
func (u *Conn) ReadHead() (*Head, error) {
	seen := 0 // bytes of buf[r:w] without an end of the head
	for {
		have := u.buf[u.r:u.w]
		if len(have) > seen {
			if n := min(len(have), 5); string(have[:n]) != "HTTP/"[:n] {
				return nil, u.notHTTP()
			}
			if end := headEnd(have, max(0, seen-3)); end > 0 {
				text := string(have[:end])
				u.r += end
				return parseHead(text)
			}
			seen = len(have)
		}
		if seen > maxHead {
			return nil, &ProtocolError{Reason: "its head is too long"}
		}
		if err := u.fill(); err != nil {
			switch {
			case seen == 0:
				return nil, fmt.Errorf("%w: %w", errStale, err)
			case errors.Is(err, io.EOF):
				return nil, &ProtocolError{Reason: "it ends within its head", Received: string(u.buf[u.r:min(u.w, u.r+200)])}
			}
			return nil, err
		}
	}
}

// notHTTP reads a little more of a response that is not HTTP, to show it to the user.
func (u *Conn) notHTTP() error {
	u.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	for u.w-u.r < 200 && u.fill() == nil {
	}
	return notHTTPError(u.buf[u.r:u.w])
}

// headEnd returns the offset of the end of the head, or 0. A lone LF ends a line (RFC
// 9112 section 2.2).
func headEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch rest := b[from:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return from + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// parseHead parses the status line.
func parseHead(text string) (*Head, error) {
	line, rest, _ := strings.Cut(text, "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) < 12 || line[:7] != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return nil, notHTTPError([]byte(line))
	}
	status, err := strconv.ParseUint(line[9:12], 10, 16)
	if err != nil || status < 100 {
		return nil, notHTTPError([]byte(line))
	}
	rest = strings.TrimSuffix(strings.TrimSuffix(rest, "\n"), "\r")
	return &Head{Status: int(status), minor: int(line[7] - '0'), Text: text, rest: rest, lines: strings.Count(rest, "\n")}, nil
}

// Fields adds the end-to-end fields to header, including Trailer, which announces our own
// trailers.
func (h *Head) Fields(header http.Header) error { return h.each(header, nil) }

// framing is the information of a head about the body and the connection.
type framing struct {
	length    int64 // Content-Length, or -1
	chunked   bool
	encoded   bool // has a Transfer-Encoding
	close     bool
	keepAlive bool
	idle      time.Duration
}

// each parses the field lines. It stores framing fields in f, which may be nil, and all
// others in header.
func (h *Head) each(header http.Header, f *framing) error {
	values := make([]string, h.lines) // one allocation for the values of all fields
	var drop []string
	rest := h.rest
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		for rest != "" && (rest[0] == ' ' || rest[0] == '\t') { // obs-fold, RFC 9112 section 5.2
			var more string
			more, rest, _ = strings.Cut(rest, "\n")
			line += " " + strings.Trim(strings.TrimSuffix(more, "\r"), " \t")
		}
		if line == "" {
			continue
		}
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		if httpx.HopByHop(name) && name != "Trailer" {
			if f != nil {
				if err := f.take(name, value); err != nil {
					return err
				}
			}
			if name == "Connection" {
				drop = append(drop, httpx.ConnectionFields(http.Header{name: {value}})...)
			}
			continue
		}
		if had, ok := header[name]; ok {
			header[name] = append(had, value)
			continue
		}
		if len(values) == 0 {
			values = make([]string, 1)
		}
		values[0] = value
		header[name], values = values[:1:1], values[1:]
	}
	for _, name := range drop {
		delete(header, name)
	}
	return nil
}

// take records one framing field.
func (f *framing) take(name, value string) error {
	switch name {
	case "Content-Length":
		for part := range strings.SplitSeq(value, ",") { // repeated equal numbers are valid
			part = textproto.TrimString(part)
			n, err := strconv.ParseUint(part, 10, 63)
			if err != nil || part[0] == '+' {
				return &ProtocolError{Reason: fmt.Sprintf("its Content-Length %.40q is not a number", value)}
			}
			if f.length >= 0 && f.length != int64(n) {
				return &ProtocolError{Reason: "it has two different lengths"}
			}
			f.length = int64(n)
		}
	case "Transfer-Encoding":
		if f.encoded || !strings.EqualFold(value, "chunked") {
			return &ProtocolError{Reason: fmt.Sprintf("its Transfer-Encoding %.40q is not chunked", value)}
		}
		f.encoded, f.chunked = true, true
	case "Connection", "Proxy-Connection":
		f.close = f.close || httpx.HasToken([]string{value}, "close")
		f.keepAlive = f.keepAlive || httpx.HasToken([]string{value}, "keep-alive")
	case "Keep-Alive":
		for part := range strings.SplitSeq(value, ",") {
			if seconds, ok := strings.CutPrefix(strings.ToLower(textproto.TrimString(part)), "timeout="); ok {
				if n, err := strconv.ParseUint(seconds, 10, 16); err == nil {
					f.idle = time.Duration(n) * time.Second
				}
			}
		}
	}
	return nil
}

// frame determines how the body is read (RFC 9112 section 6.3) and fills header.
func (b *directBody) frame(h *Head, method string, header http.Header) error {
	f := framing{length: -1}
	own := header["Connection"] // set by our server before
	if err := h.each(header, &f); err != nil {
		for name := range header {
			delete(header, name)
		}
		if own != nil {
			header["Connection"] = own
		}
		return err
	}
	if f.encoded && h.minor == 0 {
		return &ProtocolError{Reason: "it is HTTP/1.0 with a Transfer-Encoding"}
	}
	b.keep = !f.close && (h.minor == 1 || f.keepAlive)
	b.up.idle = f.idle
	if f.length >= 0 && !f.chunked && h.Status != http.StatusNoContent {
		header["Content-Length"] = []string{strconv.FormatInt(f.length, 10)}
	}
	switch {
	case method == http.MethodHead || h.Status == http.StatusNoContent || h.Status == http.StatusNotModified:
		b.ended = true
	case f.chunked:
		b.chunked, b.length = true, -1
	case f.length >= 0:
		b.length, b.left, b.ended = f.length, f.length, f.length == 0
	default:
		b.length, b.keep = -1, false
	}
	return nil
}

// splitField parses a field line. It returns the name in canonical form.
func splitField(line string) (name, value string, err error) {
	colon := strings.IndexByte(line, ':')
	if colon <= 0 || line[0] == ' ' || line[0] == '\t' {
		return "", "", &ProtocolError{Reason: fmt.Sprintf("its head has a line without a field name: %.40q", line)}
	}
	// A proxy removes whitespace before the colon (RFC 9112 section 5.1).
	name, value = line[:colon], line[colon+1:]
	for name[len(name)-1] == ' ' || name[len(name)-1] == '\t' {
		name = name[:len(name)-1]
	}
	if !httpx.IsToken(name) {
		return "", "", &ProtocolError{Reason: fmt.Sprintf("its head has an invalid field name: %.40q", name)}
	}
	value = textproto.TrimString(value)
	if !httpx.IsFieldValue(value) {
		return "", "", &ProtocolError{Reason: "its head has control characters in " + name}
	}
	return textproto.CanonicalMIMEHeaderKey(name), value, nil
}
