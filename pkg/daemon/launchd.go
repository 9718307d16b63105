package daemon

import (
	"context"
	"fmt"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/listen"
)

// launchdUptime is the minimum run time before the idle timeout may end a daemon. launchd
// delays the restart of a job that ran for less than ten seconds (ThrottleInterval in
// launchd.plist(5)).
const launchdUptime = 15 * time.Second

// leastUptime returns the minimum run time that the service manager expects.
func (d *daemon) leastUptime() time.Duration {
	if d.sockets.Activation == listen.Launchd {
		return launchdUptime
	}
	return 0
}

// standFor keeps this process running after a handover while its successor runs, if launchd
// is the service manager: launchd identifies a job by the process that it started. When one
// of the two processes ends, so does the other. standFor returns an error if the successor
// failed. Under other managers, and without a handover, it returns at once.
func (d *daemon) standFor(ctx context.Context) error {
	if d.sockets == nil || d.sockets.Activation != listen.Launchd {
		return nil
	}
	next := d.handedTo.Load()
	if next == nil {
		return nil
	}
	if ctx.Err() != nil { // the end was requested while the successor took over
		d.passOnEnd()
	}
	d.log.Info("drained; staying until the successor ends, for launchd", "pid", next.pid)
	debug.FreeOSMemory()
	<-next.ended
	if next.err != nil {
		return fmt.Errorf("the successor (pid %d) has failed: %w", next.pid, next.err)
	}
	return nil
}

// passOnEnd sends SIGTERM to the successor under launchd. It is called as soon as this
// process must end, so that both drain concurrently, within launchd's time limit.
func (d *daemon) passOnEnd() {
	if next := d.handedTo.Load(); next != nil && d.sockets.Activation == listen.Launchd {
		next.terminate.Do(func() { _ = next.process.Signal(syscall.SIGTERM) }) // fails if it has ended
	}
}
