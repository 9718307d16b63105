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

// idle waits, the name held and nothing running, until the app is asked for. It
// reports whether the run is over instead, with its exit code.
func (r *run) idle(ctx context.Context, sig *signals) (over bool, code int) {
	rests := control.LeaseUpdate{State: control.StateIdle, PID: os.Getpid()}
	if r.crashed != nil { // the page says how, until it is asked for again
		rests.State, rests.Exit, rests.Log = control.StateExited, r.crashed, r.last
		r.crashed = nil
	}
	r.lease.update(rests)
	r.reportStarted()
	for {
		select {
		case <-ctx.Done():
			return true, proctree.ExitSignal + int(syscall.SIGTERM)
		case s := <-sig.ending:
			r.wanted = true
			return true, proctree.ExitSignal + int(s.(syscall.Signal))
		case <-sig.plain: // no command runs to pass it to
		case <-sig.cont:
		case e := <-r.lease.events:
			switch e.Event {
			case control.EventStart:
				return false, 0
			case control.EventEvicted:
				r.wanted = true
				r.note("another run took the name %s", r.lease.registered().Hostname)
				return true, proctree.ExitSignal + int(syscall.SIGTERM)
			}
		case o := <-r.commands.received():
			if o == commandStop {
				r.wanted = true
				return true, 0
			}
			return false, 0 // restart, and a client that waits, want it to run
		}
	}
}

// use watches whether anybody is connected to a lazy app's port. A nil use
// never ends.
type use struct {
	ports     chan int
	done      chan struct{} // closed when there was no connection for the time
	connected func(port int, recently bool) bool
}

const (
	// useEvery is how often connections are looked at.
	useEvery = 2 * time.Second
	// traceable is the shortest limit for which the trace of a connection that
	// came and went between two looks counts: it stays for a minute.
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

// on tells which port the app has.
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

// over is closed when the app was unused for long enough.
func (u *use) over() <-chan struct{} {
	if u == nil {
		return nil
	}
	return u.done
}

func (u *use) run(ctx context.Context, limit time.Duration) {
	port := 0
	last := time.Now()
	tick := time.NewTicker(min(useEvery, max(limit/4, time.Millisecond)))
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
