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

// The kinds of an Event.
const (
	EventEvicted = "evicted" // another took the name by force: end the tree
	EventStart   = "start"   // a lazy app is asked for
	EventStop    = "stop"    // the app is to end
	EventLines   = "lines"   // the last lines of its output are asked for
)

// Event is one message to a lease's client.
type Event struct {
	Kind   string
	Reason string // a sentence for people
}

// Update is what a lease's client reports of its app. Zero fields change nothing.
type Update struct {
	Port  int
	PID   int
	State string
	Exit  *int
	Log   []string
}

// Lease is a route that lives as long as its client holds on to it. It is safe
// for concurrent use.
type Lease struct {
	table *Table
	route *Entry
	id    string

	mu     sync.Mutex
	events chan Event
	done   chan struct{}
	ended  bool
	since  time.Time     // when the app began to start; zero where it does not
	lines  chan struct{} // capacity 1: the client has sent the last lines of the output

	// resting is the standing route whose name the run took by force; it comes back when
	// the run has ended. The table's lock is over it.
	resting *Entry
}

// Lease adds a route that lives until Release. With reg.Reserve a port is picked:
// the one that the app had before, where it is still free. A name with a live
// owner is fault.Conflict, unless reg.Force: then a run that holds it is asked to
// end, and waited for.
func (t *Table) Lease(ctx context.Context, reg Registration) (*Lease, error) {
	name, err := appname.Check(reg.Name)
	if err == nil {
		probe := reg // checked as a whole before anybody loses a name for it
		probe.PID = 0
		if probe.Reserve && probe.Port == 0 && probe.Target == "" {
			probe.Port = 1
		}
		if _, err := t.make(probe); err != nil {
			return nil, err
		}
	}
	if err == nil && reg.Force && reg.PathPrefix == "" {
		err = t.vacate(ctx, name+appname.Suffix) // first, so that its port is free again for this one
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
	reg.PID = 0 // the lease is the owner, not the process
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
	if err := t.save(); err != nil { // its name is of use after a crash alone
		t.log.Warn("the names of runs cannot be written", "error", err)
	}
	t.log.Info("lease started", "host", r.Hostname, "target", r.Target.String(), "pid", pid)
	return l, nil
}

// addLease puts a lease's route into the table.
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

// ID is unique among the leases of this machine's daemons.
func (l *Lease) ID() string { return l.id }

// Route gives the route as it is now.
func (l *Lease) Route() Route { return l.route.Snapshot() }

// Resting gives the standing route that comes back when the lease has ended.
func (l *Lease) Resting() (r Route, ok bool) {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	if l.resting == nil {
		return Route{}, false
	}
	return l.resting.Route, true
}

// Events yields what the client must know; it is closed by Release.
func (l *Lease) Events() <-chan Event { return l.events }

// Done is closed by Release.
func (l *Lease) Done() <-chan struct{} { return l.done }

// tell sends an event; a client that does not read misses it.
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

// linesWait is how long a client has to send the last lines of the output.
const linesWait = 500 * time.Millisecond

// RefreshLines asks the clients of the runs of that name, of all where it is "", for the
// last lines of their output, and waits a moment for them.
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
		case <-l.lines: // of another time
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

// starts notes that the app begins to start, if it is in that state.
func (l *Lease) starts(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() && l.route.CurrentState() == state {
		l.since = l.table.cfg.Now()
	}
}

// Update applies what the client reports of its app. A state that does not exist or a
// port that is none is fault.Invalid.
func (l *Lease) Update(u Update) error {
	switch u.State {
	case "", StateStarting, StateListening, StateExited, StateIdle:
	default:
		return &fault.Error{Kind: fault.Invalid, Param: "state", Message: fmt.Sprintf("%q is no state of an app: use starting, listening, exited or idle", u.State)}
	}
	if u.Port < 0 || u.Port > 65535 {
		return &fault.Error{Kind: fault.Invalid, Param: "port", Message: "a port is between 1 and 65535"}
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
	// Not within l.mu: whoever holds the table's lock may wait for that.
	l.table.releaseReservation(now.target.Port())
	if took > 0 {
		l.table.started(l.route.Name, took)
	}
	return nil
}

// apply changes the route's state. took is how long the app took to start, where
// it has just started to listen.
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

// Release ends the lease: its route is removed when it returns. A second call does
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
	if err := t.save(); err != nil { // the next daemon would wait for a run that is no more
		t.log.Warn("the names of runs cannot be written", "error", err)
	}
}

// forget takes the route of a lease that has ended out of the table.
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
