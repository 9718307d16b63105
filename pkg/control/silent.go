package control

import (
	"net"
	"net/http"
	"sync"
)

// silent is the set of connections on which nothing has been received yet, for which
// http.Server.Shutdown would wait five seconds. The zero value is ready to use. It is safe
// for concurrent use.
type silent struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// connState is for http.Server.ConnState.
func (s *silent) connState(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != http.StateNew {
		delete(s.conns, c)
		return
	}
	if s.conns == nil {
		s.conns = map[net.Conn]struct{}{}
	}
	s.conns[c] = struct{}{}
}

// close closes the connections.
func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}
