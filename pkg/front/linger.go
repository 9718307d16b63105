package front

import (
	"io"
	"net/http"
	"time"
)

// lingerTime is how long a client may go on sending after an early response.
const lingerTime = 3 * time.Second

// markEarlyResponse marks a connection that is closed after a response while the request
// body is still arriving. Closing it at once would reset it, which could discard the
// response before the client has read it (RFC 9112 section 9.6).
func (s *Server) markEarlyResponse(w *response, r *http.Request) {
	c := connOf(r.Context())
	if c == nil || r.ProtoMajor != 1 || r.ContentLength == 0 || w.Header().Get("Connection") != "close" {
		return
	}
	c.SetReadDeadline(time.Unix(1, 0)) // only check what has arrived
	var b [1]byte
	if _, err := r.Body.Read(b[:]); err != io.EOF {
		c.lingers.Store(true)
	}
}

// linger closes the sending side, and then reads for a limited time, until the client has
// noticed.
func (c *conn) linger() {
	if !c.lingers.Swap(false) {
		return
	}
	c.SetReadDeadline(time.Now().Add(lingerTime))
	if c.CloseWrite() == nil {
		io.Copy(io.Discard, c.TCPConn)
	}
}
