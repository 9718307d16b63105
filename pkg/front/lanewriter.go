package front

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/sock"
)

// The buffer sizes of a response. A short response is sent with one write.
const (
	outBuf    = sock.BufferSize
	shortBody = 2 << 10 // a body of unknown length up to this size is buffered, and gets a Content-Length
)

// laneWriter writes the responses of a lane (RFC 9112). It is an http.ResponseWriter.
type laneWriter struct {
	tcp    *net.TCPConn
	conn   *sock.Conn   // of tcp
	ending *atomic.Bool // the server is draining
	header http.Header
	names  []string // of header; kept to reuse its memory
	out    []byte   // bytes not sent yet
	failed error    // error of a write

	isHead  bool
	status  int   // 0 until the head is written
	noBody  bool  // the response has no body, whatever is written
	length  int64 // of the body; -1 if unknown
	left    int64 // unwritten part of length
	open    bool  // the head is incomplete, because the framing is undecided
	body    []byte
	chunked bool
	last    bool // close the connection after this response
	timed   bool // the read deadline of the connection was changed
	trailer []string
}

var errTooMuch = errors.New("the response is longer than its Content-Length")

// begin resets the writer for a new response.
func (w *laneWriter) begin(isHead bool) {
	if w.header == nil {
		w.header = make(http.Header, 16)
	}
	clear(w.header)
	w.isHead, w.status, w.noBody, w.length, w.left = isHead, 0, false, -1, 0
	w.open, w.chunked, w.last, w.timed = false, false, false, false
	w.body, w.trailer = w.body[:0], w.trailer[:0]
	w.release()
}

// Header implements http.ResponseWriter.
func (w *laneWriter) Header() http.Header { return w.header }

// WriteHeader writes the head of a response, or of an interim one (RFC 9110 section 15.2).
func (w *laneWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.grab()
	if status >= 100 && status < 200 {
		w.fields(status)
		w.out = append(w.out, '\r', '\n')
		w.send()
		return
	}
	w.status = status
	w.noBody = w.isHead || !bodyStatus(status)
	if lengths := w.header["Content-Length"]; len(lengths) > 0 {
		if n, err := strconv.ParseUint(lengths[0], 10, 63); err == nil {
			w.length, w.left = int64(n), int64(n)
		} else {
			delete(w.header, "Content-Length")
		}
	}
	if status == http.StatusNoContent {
		delete(w.header, "Content-Length")
	}
	for _, value := range w.header["Trailer"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = http.CanonicalHeaderKey(textproto.TrimString(name)); name != "" {
				w.trailer = append(w.trailer, name)
			}
		}
	}
	if w.ending.Load() {
		w.header["Connection"] = []string{"close"}
	}
	for _, value := range w.header["Connection"] {
		w.last = w.last || strings.EqualFold(value, "close")
	}
	w.fields(status)
	if _, ok := w.header["Date"]; !ok {
		w.out = append(w.out, "Date: "...)
		w.out = time.Now().UTC().AppendFormat(w.out, http.TimeFormat)
		w.out = append(w.out, '\r', '\n')
	}
	switch {
	case w.noBody && !w.isHead || w.length >= 0 || !bodyStatus(status):
		w.out = append(w.out, '\r', '\n')
	default:
		w.open = true
		if len(w.trailer) > 0 {
			w.chunk()
		}
	}
}

func bodyStatus(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// fields writes the status line and the header fields, sorted by name.
func (w *laneWriter) fields(status int) {
	w.out = append(w.out, "HTTP/1.1 "...)
	w.out = strconv.AppendInt(w.out, int64(status), 10)
	w.out = append(w.out, ' ')
	w.out = append(w.out, http.StatusText(status)...)
	w.out = append(w.out, '\r', '\n')
	w.names = slices.AppendSeq(w.names[:0], maps.Keys(w.header))
	slices.Sort(w.names)
	for _, name := range w.names {
		for _, value := range w.header[name] {
			w.field(name, value)
		}
	}
}

var noLineEnds = strings.NewReplacer("\r", " ", "\n", " ")

func (w *laneWriter) field(name, value string) {
	if strings.ContainsAny(value, "\r\n") {
		value = noLineEnds.Replace(value)
	}
	w.out = append(w.out, name...)
	w.out = append(w.out, ':', ' ')
	w.out = append(w.out, value...)
	w.out = append(w.out, '\r', '\n')
}

// chunk selects the chunked coding and writes the buffered part of the body.
func (w *laneWriter) chunk() {
	w.open, w.chunked = false, !w.noBody
	if w.noBody {
		w.out = append(w.out, '\r', '\n')
		return
	}
	w.out = append(w.out, "Transfer-Encoding: chunked\r\n\r\n"...)
	if len(w.body) > 0 {
		w.put(w.body)
		w.body = w.body[:0]
	}
}

// Write implements http.ResponseWriter.
func (w *laneWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.failed != nil:
		return 0, w.failed
	case len(p) == 0:
		return 0, nil
	case !bodyStatus(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && int64(len(p)) > w.left:
		return 0, errTooMuch
	case w.open && len(w.body)+len(p) <= shortBody:
		w.body = append(w.body, p...)
		return len(p), nil
	case w.open:
		w.chunk()
	}
	if w.noBody {
		w.left -= int64(len(p))
		return len(p), nil
	}
	w.left -= int64(len(p))
	w.put(p)
	if w.failed != nil {
		return 0, w.failed
	}
	return len(p), nil
}

// put frames a part of the body, and sends it unless it is small.
func (w *laneWriter) put(p []byte) {
	w.grab()
	if w.chunked {
		w.out = strconv.AppendInt(w.out, int64(len(p)), 16)
		w.out = append(w.out, '\r', '\n')
	}
	if len(w.out)+len(p)+2 <= outBuf {
		w.out = append(w.out, p...)
		if w.chunked {
			w.out = append(w.out, '\r', '\n')
		}
		return
	}
	parts := net.Buffers{w.out, p}
	if w.chunked {
		parts = append(parts, []byte{'\r', '\n'})
	}
	if w.failed == nil {
		_, w.failed = parts.WriteTo(w.tcp)
	}
	w.out = w.out[:0]
}

// send sends the buffered bytes.
func (w *laneWriter) send() {
	if len(w.out) > 0 && w.failed == nil {
		_, w.failed = w.conn.Write(w.out)
	}
	w.out = w.out[:0]
}

// grab takes a write buffer from the pool if there is none.
func (w *laneWriter) grab() {
	if w.out == nil {
		w.out = sock.GetBuffer()[:0]
	}
}

// release returns the write buffer to its pool. What has not been sent is lost. A stream
// therefore holds no buffer between its events.
func (w *laneWriter) release() {
	sock.PutBuffer(w.out)
	w.out = nil
}

// ReadFrom implements io.ReaderFrom. The kernel copies a body of known length.
func (w *laneWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 || w.noBody || w.length < 0 {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	if w.send(); w.failed != nil {
		return 0, w.failed
	}
	limited, ok := r.(*io.LimitedReader) // the kernel copies from one LimitedReader, but not from a nested one
	if !ok || limited.N > w.left {
		limited = &io.LimitedReader{R: r, N: w.left}
	}
	n, err := w.tcp.ReadFrom(limited)
	w.left -= n
	return n, err
}

// Flush implements http.Flusher.
func (w *laneWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush with an error, for http.ResponseController.
func (w *laneWriter) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.open {
		w.chunk()
	}
	w.send()
	w.release()
	return w.failed
}

// SetReadDeadline sets the deadline for reading the request body, for
// http.ResponseController. The lane sets its own for the next request.
func (w *laneWriter) SetReadDeadline(t time.Time) error {
	w.timed = true
	return w.tcp.SetReadDeadline(t)
}

// EnableFullDuplex does nothing, because a lane is always full duplex. It is for
// http.ResponseController.
func (w *laneWriter) EnableFullDuplex() error { return nil }

// finish ends the response.
func (w *laneWriter) finish() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.grab()
	switch {
	case w.open && (w.hasLateTrailers() || w.isHead && len(w.body) == 0):
		w.chunk()
	case w.open:
		w.open = false
		w.out = append(w.out, "Content-Length: "...)
		w.out = strconv.AppendInt(w.out, int64(len(w.body)), 10)
		w.out = append(w.out, "\r\n\r\n"...)
		if !w.noBody {
			w.out = append(w.out, w.body...)
		}
	case w.length >= 0 && w.left > 0 && !w.noBody:
		w.last = true // the client must not take the next response for the missing bytes
	}
	if w.chunked {
		w.out = append(w.out, "0\r\n"...)
		w.trailers()
		w.out = append(w.out, '\r', '\n')
	}
	w.send()
	w.release()
	return w.failed
}

// hasLateTrailers reports whether there are trailers with http.TrailerPrefix.
func (w *laneWriter) hasLateTrailers() bool {
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// trailers writes the announced trailers and those with http.TrailerPrefix.
func (w *laneWriter) trailers() {
	for _, name := range w.trailer {
		for _, value := range w.header[name] {
			w.field(name, value)
		}
	}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			for _, value := range values {
				w.field(name, value)
			}
		}
	}
}

// abort sends what is buffered of a response that is not going to be finished.
func (w *laneWriter) abort() {
	if w.open { // the head is incomplete: send nothing
		w.out = w.out[:0]
	}
	w.send()
	w.release()
}
