package respond

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// How much of a refused request's body is read to the end, how long that may
// take in all, and how long its sender may pause.
const (
	drainLimit = 256 << 20
	drainTime  = 10 * time.Second
	drainPause = time.Second
)

// Drain reads what is left of a request that is about to be refused: a caller
// that is still sending would have its connection reset before it could read
// why, and take the refusal for a broken network. A caller that waits for
// 100 Continue has not started sending and is answered at once. HTTP/2 refuses by stream.
func Drain(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody || strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		return
	}
	rc := http.NewResponseController(w)
	end := time.Now().Add(drainTime)
	buf := make([]byte, 64<<10)
	for read := int64(0); read < drainLimit && time.Now().Before(end); {
		if rc.SetReadDeadline(time.Now().Add(drainPause)) != nil {
			return // no connection of its own, as in a test: nobody to be cut off
		}
		n, err := r.Body.Read(buf)
		read += int64(n)
		if errors.Is(err, io.EOF) {
			rc.SetReadDeadline(time.Time{})
			return
		}
		if err != nil {
			return // what is left is given up, and the connection with it
		}
	}
}
