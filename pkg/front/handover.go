package front

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/clock"
)

// HandOver has Run, once its context ends, let requests in flight, event streams
// and upgraded connections end by themselves for as long as linger, since another
// process takes the new ones. It is called before Run's context ends.
func (s *Server) HandOver(linger time.Duration) { s.linger.Store(int64(linger)) }

// EndLinger ends what HandOver granted: what is still in flight is cut. It may be
// called more than once.
func (s *Server) EndLinger() { s.lingerEnd.Do(func() { close(s.lingerCut) }) }

// drainContext ends when what is in flight has had its time to end.
func (s *Server) drainContext(base context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(base)
	timer := clock.AfterFunc(s.cfg.Clock, s.drainTime(), cancel)
	go func() { // ends with ctx
		select {
		case <-s.lingerCut:
			cancel()
		case <-ctx.Done():
		}
		timer.Stop()
	}()
	return ctx, cancel
}

// drainLook is how often a draining server looks whether connections have ended.
func (s *Server) drainLook() time.Duration {
	if s.linger.Load() > 0 { // for minutes, perhaps
		return 50 * time.Millisecond
	}
	return time.Millisecond
}

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
