package daemon

import (
	"context"
	"fmt"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/listen"
)

// launchdUptime is how long a daemon runs at least before it ends for idleness:
// launchd puts off starting again what ran for less than ten seconds
// (ThrottleInterval in launchd.plist(5)).
const launchdUptime = 15 * time.Second

// leastUptime is the least that the service manager expects of a process.
func (d *daemon) leastUptime() time.Duration {
	if d.sockets.Activation == listen.Launchd {
		return launchdUptime
	}
	return 0
}

// standFor keeps this process after a handover for as long as its successor runs,
// where launchd is the manager: it knows a job by the process that it started,
// and cannot take another. The end of one is the end of the other, whichever
// comes first; the error is the successor's failure. Elsewhere, and without a
// handover, it returns at once.
func (d *daemon) standFor(ctx context.Context) error {
	if d.sockets == nil || d.sockets.Activation != listen.Launchd {
		return nil
	}
	next := d.handedTo.Load()
	if next == nil {
		return nil
	}
	if ctx.Err() != nil { // asked for while the successor took over
		d.passOnEnd()
	}
	d.log.Info("nothing left to answer: waiting for the successor's end, for launchd", "pid", next.pid)
	debug.FreeOSMemory()
	<-next.ended
	if next.err != nil {
		return fmt.Errorf("the successor (pid %d) has failed: %w", next.pid, next.err)
	}
	return nil
}

// passOnEnd has a successor end when this process is asked to, at once: both
// finish what they answer at the same time, within what launchd allows.
func (d *daemon) passOnEnd() {
	if next := d.handedTo.Load(); next != nil && d.sockets.Activation == listen.Launchd {
		_ = next.process.Signal(syscall.SIGTERM) // or it has ended
	}
}
