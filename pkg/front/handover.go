package front

import (
	"context"
	"time"
)

// HandOver has Run, once its context ends, let requests in flight, event streams
// and upgraded connections end by themselves for as long as linger, since another
// process takes the new ones. It is called before Run's context ends.
func (s *Server) HandOver(linger time.Duration) { s.linger.Store(int64(linger)) }

// drainTime is how long what is in flight may take to end.
func (s *Server) drainTime() time.Duration {
	return max(s.cfg.Drain, time.Duration(s.linger.Load()))
}

// awaitUpgraded waits for upgraded connections to end where a successor serves
// already, until ctx ends.
func (s *Server) awaitUpgraded(ctx context.Context) {
	if s.linger.Load() == 0 {
		return
	}
	for s.InFlight() > 0 && ctx.Err() == nil {
		after(ctx, 50*time.Millisecond)
	}
}
