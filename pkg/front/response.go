package front

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// response notes what was answered. It keeps all abilities of net/http's own
// writer: flushing, upgrading, and copying without a buffer in between.
type response struct {
	http.ResponseWriter
	status  int
	bytes   int64
	conn    *conn // of an answer that may be endless: an app's on HTTP/1
	endless bool  // it is a stream that has no end of its own
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the final status.
func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.noteStatus(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.noteStatus(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// WriteString writes without a copy of s.
func (w *response) WriteString(s string) (int, error) {
	w.noteStatus(http.StatusOK)
	n, err := io.WriteString(w.ResponseWriter, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom lets the connection copy from r by itself.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.noteStatus(http.StatusOK)
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush sends what is buffered.
func (w *response) Flush() {
	w.noteStatus(http.StatusOK)
	http.NewResponseController(w.ResponseWriter).Flush()
}

// FlushError is Flush with its error, for http.ResponseController.
func (w *response) FlushError() error {
	w.noteStatus(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack gives the connection away. HTTP/2 has none to give.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// noteStatus notes the first of what is answered.
func (w *response) noteStatus(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.conn != nil && strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		w.endless = true
		w.conn.server.note(w.conn.server.endless, w.conn)
	}
}
