//go:build unix

package launch

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch/proctree"
	"github.com/hostless/hostless/pkg/procinfo"
)

// idle holds the name while nothing runs, until the app is requested. It reports whether
// the run has ended instead, with its exit code.
func (r *run) idle(ctx context.Context, sig *signals) (over bool, code int) {
	update := control.LeaseUpdate{State: control.StateIdle, PID: os.Getpid()}
	if r.crashed != nil { // the error page shows how it ended, until the next request
		update.State, update.Exit, update.Log = control.StateExited, r.crashed, r.last
		r.crashed = nil
	}
	r.lease.update(update)
	r.reportStarted()
	for {
		select {
		case <-ctx.Done():
			return true, proctree.ExitSignal + int(syscall.SIGTERM)
		case s := <-sig.ending:
			r.endRequested = true
			return true, proctree.ExitSignal + int(s.(syscall.Signal))
		case <-sig.plain: // no command runs to pass it to
		case <-sig.cont:
		case e := <-r.lease.events:
			switch e.Event {
			case control.EventStart:
				return false, 0
			case control.EventEvicted:
				r.endRequested = true
				r.note("another run took the name %s", r.lease.registered().Hostname)
				return true, proctree.ExitSignal + int(syscall.SIGTERM)
			}
		case o := <-r.commands.received():
			if o == commandStop {
				r.endRequested = true
				return true, 0
			}
			return false, 0 // restart and wait start it
		}
	}
}

// use watches for connections to a lazy app's port. A nil use never ends.
type use struct {
	ports     chan int
	done      chan struct{} // closed after the time limit without a connection
	connected func(port int, recently bool) bool
}

const (
	// usePollInterval is how often connections are polled.
	usePollInterval = 2 * time.Second
	// traceable is the shortest limit for which connections count that were opened and
	// closed between two polls: the kernel lists them for a minute.
	traceable = 2 * time.Minute
)

func newUse(connected func(port int, recently bool) bool) *use {
	return &use{ports: make(chan int, 1), done: make(chan struct{}), connected: connected}
}

func watchUse(ctx context.Context, limit time.Duration) *use {
	u := newUse(procinfo.Connected)
	go u.run(ctx, limit)
	return u
}

// on sets the app's port.
func (u *use) on(port int) {
	if u == nil {
		return
	}
	select {
	case <-u.ports:
	default:
	}
	u.ports <- port
}

// over returns a channel that is closed when the app has been unused for the limit.
func (u *use) over() <-chan struct{} {
	if u == nil {
		return nil
	}
	return u.done
}

func (u *use) run(ctx context.Context, limit time.Duration) {
	port := 0
	last := time.Now()
	tick := time.NewTicker(min(usePollInterval, max(limit/4, time.Millisecond)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case port = <-u.ports:
			last = time.Now()
		case <-tick.C:
			if port == 0 || u.connected(port, limit >= traceable) {
				last = time.Now()
			} else if time.Since(last) >= limit {
				close(u.done)
				return
			}
		}
	}
}
