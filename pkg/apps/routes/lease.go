package routes

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/fault"
)

// Kinds of events.
const (
	EventEvicted = "evicted" // another client took the name by force: stop the app
	EventStart   = "start"   // a lazy app is needed
	EventStop    = "stop"    // stop the app
	EventLines   = "lines"   // send the last lines of the output
)

// Event is a message to the client that holds a lease.
type Event struct {
	Kind   string
	Reason string // a sentence for the user
}

// Update is a client's report about its app. Zero fields change nothing.
type Update struct {
	Port  int
	PID   int
	State string
	Exit  *int
	Log   []string
}

// Lease is a route that exists as long as its client holds the lease. It is safe for
// concurrent use.
type Lease struct {
	table *Table
	route *Entry
	id    string

	mu     sync.Mutex
	events chan Event
	done   chan struct{}
	ended  bool
	since  time.Time     // when the app began to start; zero if it is not starting
	lines  chan struct{} // capacity 1: the client has sent the last lines of its output

	// resting is the standing route whose name the run took by force. It comes back when
	// the run ends. Guarded by the table's lock.
	resting *Entry
}

// Lease adds a route that exists until Release. With reg.Reserve it chooses a port: the
// app's last one if that is free. If the name has a live owner, the error is
// fault.Conflict, unless reg.Force is set: then a run that holds the name is asked to
// stop, and Lease waits for that.
func (t *Table) Lease(ctx context.Context, reg Registration) (*Lease, error) {
	name, err := appname.Check(reg.Name)
	if err == nil {
		probe := reg // validate everything before anybody loses a name
		probe.PID = 0
		if probe.Reserve && probe.Port == 0 && probe.Target == "" {
			probe.Port = 1
		}
		if _, err := t.make(probe); err != nil {
			return nil, err
		}
	}
	if err == nil && reg.Force && reg.PathPrefix == "" {
		err = t.vacate(ctx, name+appname.Suffix) // first, so that its port is free again
	}
	if err == nil && reg.Reserve && reg.Port == 0 && reg.Target == "" {
		reg.Port, err = t.reserve(name)
	}
	if err != nil {
		f := *fault.From(err)
		if f.Kind == fault.Usage {
			f.Kind = fault.Invalid
		}
		return nil, &f
	}
	pid := reg.PID
	reg.PID = 0 // the owner is the lease, not the process
	r, err := t.make(reg)
	if err != nil {
		return nil, err
	}
	r.Kind, r.PID = Leased, pid
	l := &Lease{table: t, route: r, events: make(chan Event, 16), done: make(chan struct{}), lines: make(chan struct{}, 1)}
	r.lease = l
	first := StateStarting
	if reg.Lazy {
		first = StateIdle
	}
	r.state.Store(&state{target: r.Target, pid: pid, name: first})
	l.starts(StateStarting)

	if err := t.addLease(ctx, l, reg.Force); err != nil {
		return nil, err
	}
	if err := t.save(); err != nil { // only needed after a crash
		t.log.Warn("cannot store the names of runs", "error", err)
	}
	t.log.Info("lease started", "host", r.Hostname, "target", r.Target.String(), "pid", pid)
	return l, nil
}

// addLease adds a lease's route to the table.
func (t *Table) addLease(ctx context.Context, l *Lease, force bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.takeName(ctx, l.route, force); err != nil {
		return err
	}
	t.leases++
	l.id = fmt.Sprintf("%x-%d", t.cfg.Now().UnixNano(), t.leases)
	t.add(l.route)
	return nil
}

// ID returns an id that is unique among the leases of this machine's daemons.
func (l *Lease) ID() string { return l.id }

// Route returns the current state of the route.
func (l *Lease) Route() Route { return l.route.Snapshot() }

// Resting returns the standing route that comes back when the lease ends.
func (l *Lease) Resting() (r Route, ok bool) {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	if l.resting == nil {
		return Route{}, false
	}
	return l.resting.Route, true
}

// Events returns the channel of messages for the client. Release closes it.
func (l *Lease) Events() <-chan Event { return l.events }

// Done returns a channel that Release closes.
func (l *Lease) Done() <-chan struct{} { return l.done }

// tell sends an event. It is dropped if the client does not read.
func (l *Lease) tell(ev Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	select {
	case l.events <- ev:
	default:
	}
}

// linesWait is how long a client has to send the last lines of its output.
const linesWait = 500 * time.Millisecond

// RefreshLines asks the client of the named run, or of all runs if name is "", for the
// last lines of the output, and waits briefly for them.
func (t *Table) RefreshLines(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, linesWait)
	defer cancel()
	var waiting []*Lease
	t.mu.Lock()
	for _, e := range t.routes {
		if e.lease != nil && e.CurrentState() == StateListening && e.Output != OutputLog && (name == "" || e.Name == name) {
			waiting = append(waiting, e.lease)
		}
	}
	t.mu.Unlock()
	for _, l := range waiting {
		select {
		case <-l.lines: // from an earlier request
		default:
		}
		l.tell(Event{Kind: EventLines})
	}
	for _, l := range waiting {
		select {
		case <-l.lines:
		case <-l.done:
		case <-ctx.Done():
		}
	}
}

// starts records the start of the app if it is in the given state.
func (l *Lease) starts(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() && l.route.CurrentState() == state {
		l.since = l.table.cfg.Now()
	}
}

// Update applies a client's report about its app. An unknown state or an invalid port is
// a fault.Invalid.
func (l *Lease) Update(u Update) error {
	switch u.State {
	case "", StateStarting, StateListening, StateExited, StateIdle:
	default:
		return &fault.Error{Kind: fault.Invalid, Param: "state", Message: fmt.Sprintf("%q is not a state of an app: use starting, listening, exited or idle", u.State)}
	}
	if u.Port < 0 || u.Port > 65535 {
		return &fault.Error{Kind: fault.Invalid, Param: "port", Message: "the port must be between 1 and 65535"}
	}
	now, took, err := l.apply(u)
	if err == nil && u.Log != nil {
		select {
		case l.lines <- struct{}{}:
		default:
		}
	}
	if err != nil || now.name != StateListening {
		return err
	}
	// l.mu must not be held: a holder of the table's lock may be waiting for it.
	l.table.releaseReservation(now.target.Port())
	if took > 0 {
		l.table.started(l.route.Name, took)
	}
	return nil
}

// apply changes the route's state. took is the duration of the app's start if it has just
// started to listen.
func (l *Lease) apply(u Update) (next state, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return state{}, 0, fault.New(fault.NotFound, "the lease has ended")
	}
	next = *l.route.state.Load()
	if u.Port != 0 && u.Port != next.target.Port() {
		next.target = http1.PortTarget(u.Port)
		l.route.upstream.CloseIdle()
	}
	if u.PID != 0 {
		next.pid = u.PID
	}
	if u.State != "" {
		next.name, next.exit, next.log = u.State, nil, nil
	}
	if u.Exit != nil {
		next.exit = u.Exit
	}
	if u.Log != nil {
		next.log = u.Log
	}
	was := l.route.CurrentState()
	l.route.state.Store(&next)
	switch {
	case next.name == StateStarting && was != StateStarting && l.since.IsZero():
		l.since = l.table.cfg.Now()
	case next.name == StateListening && !l.since.IsZero():
		took = l.table.cfg.Now().Sub(l.since)
		l.since = time.Time{}
	case next.name == StateExited:
		next.exited = l.table.cfg.Now()
		l.route.state.Store(&next)
		l.since = time.Time{}
	}
	return next, took, nil
}

// Release ends the lease. When it returns, the route is removed. Further calls do
// nothing.
func (l *Lease) Release() {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	close(l.events)
	close(l.done)
	l.mu.Unlock()
	t := l.table
	t.forget(l)
	t.log.Info("lease ended", "host", l.route.Hostname)
	if err := t.save(); err != nil { // otherwise the next daemon would wait for this run
		t.log.Warn("cannot store the names of runs", "error", err)
	}
}

// forget removes the route of an ended lease from the table.
func (t *Table) forget(l *Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.reserved, l.route.CurrentTarget().Port())
	t.remove(l.route)
	t.remember(l.route.Snapshot())
	if l.resting != nil {
		t.putBack(l.resting, nil)
		l.resting = nil
	}
	t.released.Broadcast()
}
