package front

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/clock"
)

// HandOver gives requests in flight, event streams and upgraded connections the time linger
// to end by themselves after the context of Run is cancelled, for when another process
// serves new requests. It must be called before that.
func (s *Server) HandOver(linger time.Duration) { s.linger.Store(int64(linger)) }

// EndLinger ends that time: everything that is still in flight is cancelled. It may be
// called more than once.
func (s *Server) EndLinger() { s.lingerEnd.Do(func() { close(s.lingerCut) }) }

// drainContext returns a context that is cancelled when the time for draining is over.
func (s *Server) drainContext(base context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(base)
	timer := clock.AfterFunc(s.cfg.Clock, s.drainTimeout(), cancel)
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

// drainPollInterval is how often a draining server checks whether connections have ended.
func (s *Server) drainPollInterval() time.Duration {
	if s.linger.Load() > 0 { // it may take minutes
		return 50 * time.Millisecond
	}
	return time.Millisecond
}

// drainTimeout returns how long requests in flight may take to end.
func (s *Server) drainTimeout() time.Duration {
	return max(s.cfg.Drain, time.Duration(s.linger.Load()))
}

// awaitUpgraded waits until all upgraded connections have ended, or ctx is done, if another
// process serves already.
func (s *Server) awaitUpgraded(ctx context.Context) {
	if s.linger.Load() == 0 {
		return
	}
	for s.InFlight() > 0 && ctx.Err() == nil {
		after(ctx, 50*time.Millisecond)
	}
}
