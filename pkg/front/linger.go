package front

import (
	"io"
	"net/http"
	"time"
)

// lingerTime is how long a client that is answered early may go on sending.
const lingerTime = 3 * time.Second

// early notes that an answer ends a connection on which the request's body is
// still arriving. Closing it at once would reset it, and take from the client an
// answer that it has not read yet (RFC 9112 section 9.6).
func (s *Server) early(w *response, r *http.Request) {
	c := connOf(r.Context())
	if c == nil || r.ProtoMajor != 1 || r.ContentLength == 0 || w.Header().Get("Connection") != "close" {
		return
	}
	c.SetReadDeadline(time.Unix(1, 0)) // only what has arrived counts
	var b [1]byte
	if _, err := r.Body.Read(b[:]); err != io.EOF {
		c.lingers.Store(true)
	}
}

// linger ends our side, and takes what the client still sends until it has
// noticed, but not for long.
func (c *conn) linger() {
	if !c.lingers.Swap(false) {
		return
	}
	c.SetReadDeadline(time.Now().Add(lingerTime))
	if c.CloseWrite() == nil {
		io.Copy(io.Discard, c.TCPConn)
	}
}
