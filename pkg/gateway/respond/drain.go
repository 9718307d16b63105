package respond

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// Limits of draining a request body: its size, the total time, and the time of one read.
const (
	drainLimit = 256 << 20
	drainTime  = 10 * time.Second
	drainPause = time.Second
)

// Drain reads and discards the rest of a request body before the request is refused. If the
// server closed the connection while the caller was still sending, the caller would get a
// reset before it could read the error response. Drain does nothing for HTTP/2, which
// resets only the stream, nor if the caller waits for 100 Continue.
func Drain(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody || strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		return
	}
	rc := http.NewResponseController(w)
	end := time.Now().Add(drainTime)
	buf := make([]byte, 64<<10)
	for read := int64(0); read < drainLimit && time.Now().Before(end); {
		if rc.SetReadDeadline(time.Now().Add(drainPause)) != nil {
			return // no network connection, as in a test
		}
		n, err := r.Body.Read(buf)
		read += int64(n)
		if errors.Is(err, io.EOF) {
			rc.SetReadDeadline(time.Time{})
			return
		}
		if err != nil {
			return // give up; the server closes the connection
		}
	}
}
