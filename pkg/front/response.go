package front

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// response records the status and size of a response. It keeps the optional interfaces of
// net/http's own writer: flushing, hijacking, and copying without a buffer.
type response struct {
	http.ResponseWriter
	status  int
	bytes   int64
	conn    *conn // set if the response may be an endless stream: from an app, over HTTP/1
	endless bool  // the response is a stream without an end
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader records the final status.
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

// WriteString implements io.StringWriter, without copying s.
func (w *response) WriteString(s string) (int, error) {
	w.noteStatus(http.StatusOK)
	n, err := io.WriteString(w.ResponseWriter, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that the connection can copy from r itself.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.noteStatus(http.StatusOK)
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	w.noteStatus(http.StatusOK)
	http.NewResponseController(w.ResponseWriter).Flush()
}

// FlushError is Flush with an error, for http.ResponseController.
func (w *response) FlushError() error {
	w.noteStatus(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker. It fails for HTTP/2.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// noteStatus records the status, unless one is recorded already.
func (w *response) noteStatus(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.conn != nil && strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		w.endless = true
		w.conn.server.add(w.conn.server.endless, w.conn)
	}
}
