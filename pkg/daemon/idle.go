package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/listen"
)

// idlePolls is how many times per idle timeout the daemon checks whether it was used.
const idlePolls = 8

// errIdle is the cancellation cause after the idle timeout.
var errIdle = errors.New("nothing to do")

// idleTimeout returns after how long without work this daemon ends. It is 0, for never,
// without a service manager, since nothing would start the daemon again.
func (d *daemon) idleTimeout() time.Duration {
	switch {
	case d.sockets.Activation == listen.Self:
		return 0
	case d.cfg.IdleTimeout != nil:
		return *d.cfg.IdleTimeout
	}
	return d.settings.IdleTimeout()
}

// endWhenIdle ends the daemon after it has had no work for the idle timeout. The service
// manager keeps the sockets and starts it with the next connection.
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
			d.log.Info("idle, ending: the next connection starts the daemon again", "idle", time.Since(since).Round(time.Second))
			d.stop(errIdle)
			return nil
		}
		next := time.Hour // off: wait until the setting changes
		if timeout > 0 {
			next = min(max(timeout/idlePolls, 100*time.Millisecond), time.Minute)
		}
		look.Reset(next)
	}
}

// uses returns the number of requests on all sockets, without those of the watchdog.
func (d *daemon) uses() uint64 {
	return d.front.Served() + d.control.Served() - d.selfChecks.Load()
}

// busy reports whether the end of the daemon would lose something: requests and upgraded
// connections, logins, runs and lazy apps (which hold leases), and tokens that are not
// persisted.
func (d *daemon) busy() bool {
	return d.front.InFlight() > 0 || d.control.Leases() > 0 || d.logins.InProgress() ||
		d.persistence() == config.PersistOff && d.tokens.Live() > 0
}
