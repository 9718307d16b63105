package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/listen"
)

// idleLooks is how often in an idle timeout the daemon looks whether it was used.
const idleLooks = 8

// errIdle is the cause of an end that nobody asked for.
var errIdle = errors.New("nothing to do")

// idleTimeout is after how long without anything to do this daemon ends; 0 is
// never. Without a supervisor nothing would start it again.
func (d *daemon) idleTimeout() time.Duration {
	switch {
	case d.sockets.Activation == listen.Self:
		return 0
	case d.cfg.IdleTimeout != nil:
		return *d.cfg.IdleTimeout
	}
	return d.settings.IdleTimeout()
}

// endWhenIdle ends the daemon once it has had nothing to do for the idle timeout:
// the supervisor keeps the sockets and starts it with the next connection.
func (d *daemon) endWhenIdle(ctx context.Context) error {
	if d.sockets.Activation == listen.Self {
		return nil
	}
	look := time.NewTimer(0)
	defer look.Stop()
	var used uint64
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case <-d.idleChanged:
		}
		timeout := d.idleTimeout()
		if now := d.uses(); now != used || d.busy() || timeout == 0 {
			used, since = now, time.Now()
		}
		if timeout > 0 && time.Since(since) >= timeout && time.Since(d.started) >= d.leastUptime() {
			d.log.Info("ending, nothing to do: the next connection starts it again", "idle", time.Since(since).Round(time.Second))
			d.stop(errIdle)
			return nil
		}
		next := time.Hour // until the setting changes
		if timeout > 0 {
			next = min(max(timeout/idleLooks, 100*time.Millisecond), time.Minute)
		}
		look.Reset(next)
	}
}

// uses counts requests of others on all sockets.
func (d *daemon) uses() uint64 {
	return d.front.Served() + d.control.Served() - d.selfChecks.Load()
}

// busy reports whether something would be lost, or missed, by an end: requests
// and upgraded connections, logins, runs and lazy apps (which hold leases), and tokens
// that are not persisted.
func (d *daemon) busy() bool {
	return d.front.InFlight() > 0 || d.control.Leases() > 0 || d.logins.InProgress() ||
		d.persistence() == config.PersistOff && d.tokens.Live() > 0
}
