package front

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response notes what was answered. It keeps all abilities of net/http's own
// writer: flushing, upgrading, and copying without a buffer in between.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the final status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.implicit()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// WriteString writes without a copy of s.
func (w *response) WriteString(s string) (int, error) {
	w.implicit()
	n, err := io.WriteString(w.ResponseWriter, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom lets the connection copy from r by itself.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.implicit()
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush sends what is buffered.
func (w *response) Flush() {
	w.implicit()
	http.NewResponseController(w.ResponseWriter).Flush()
}

// FlushError is Flush with its error, for http.ResponseController.
func (w *response) FlushError() error {
	w.implicit()
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

func (w *response) implicit() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}
