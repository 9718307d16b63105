package control

import (
	"net"
	"net/http"
	"sync"
)

// silent are the connections on which nothing was sent yet. http.Server.Shutdown waits
// five seconds for those. The zero value is ready, and safe for concurrent use.
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

// close closes them.
func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}
