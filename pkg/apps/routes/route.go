package routes

import (
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
)

// Kind says what a route lives by.
type Kind int

const (
	Standing Kind = iota // until it is removed; on disk
	Process              // as long as the process that registered it; on disk with that
	Leased               // as long as its client holds the lease
)

// The states of a leased route's app.
const (
	StateStarting  = "starting"
	StateListening = "listening"
	StateExited    = "exited"
	StateIdle      = "idle" // lazy: not started until it is asked for
)

// Registration asks for a route.
type Registration struct {
	Name       string
	Target     string // see ParseTarget; "" with Port or Reserve
	Port       int
	PID        int  // the owner; 0 is none
	Reserve    bool // lease: pick and reserve a port
	Force      bool // take the name from its owner
	KeepHost   bool // send the Host that was asked for to a URL target
	Insecure   bool // take the target's certificate unchecked
	Wildcard   bool // serve every name below this one too
	PathPrefix string
	Alias      bool // a standing route that a person named
	Lazy       bool // lease: started by the first request
	Command    string
	Directory  string
	Output     string // lease: where the app prints, OutputTerminal, OutputLog or ""
}

// Where the output of a leased app is, besides what its client reports.
const (
	OutputTerminal = "terminal" // that it was started in
	OutputLog      = "log"      // that `hostless logs NAME` shows
)

// Route is one entry of the table as it stood when it was asked for.
type Route struct {
	Name       string // as registered: myapp, api.myapp
	Hostname   string // Name and the suffix of all apps
	Target     http1.Target
	Kind       Kind
	PID        int
	KeepHost   bool
	Insecure   bool
	Wildcard   bool
	PathPrefix string // "" or a path that begins with /
	Alias      bool
	Lazy       bool
	Command    string
	Directory  string
	Output     string
	Since      time.Time
	State      string   // of a leased route
	Exit       *int     // how the app ended, where State is exited
	Log        []string // its last lines
}

// Entry is a route in the table. It is safe for concurrent use: the state of a
// leased one changes; a change of anything else makes another Entry.
type Entry struct {
	Route
	owner    process // of a Process route
	lease    *Lease  // of a Leased one
	state    atomic.Pointer[state]
	upstream *http1.Upstream
	refused  atomic.Int64 // since when connections are refused, in Unix nanoseconds; 0 is not
}

// state is what a lease's client reports of its app.
type state struct {
	target http1.Target
	pid    int
	name   string
	exit   *int
	exited time.Time // since when, in StateExited
	log    []string
}

// Snapshot gives the route as it is now.
func (e *Entry) Snapshot() Route {
	out := e.Route
	if s := e.state.Load(); s != nil {
		out.Target, out.PID, out.State, out.Exit, out.Log = s.target, s.pid, s.name, s.exit, s.log
	}
	return out
}

// CurrentTarget is where the app is now.
func (e *Entry) CurrentTarget() http1.Target {
	if s := e.state.Load(); s != nil {
		return s.target
	}
	return e.Target
}

// CurrentState is the state of a leased route's app, "" of another route.
func (e *Entry) CurrentState() string {
	if s := e.state.Load(); s != nil {
		return s.name
	}
	return ""
}

// Upstream sends requests to the app.
func (e *Entry) Upstream() *http1.Upstream { return e.upstream }

// Start asks the client of a lazy route to start the app. On another route it
// does nothing.
func (e *Entry) Start() {
	if e.lease != nil {
		e.lease.starts(StateIdle)
		e.lease.tell(Event{Kind: EventStart, Reason: "it was asked for"})
	}
}

// restartPause is how long after a lazy app crashed a request starts it again: those
// that a crash leaves behind, such as for the page's icon, do not.
const restartPause = time.Second

// StartAgain starts a lazy app that has crashed, and reports whether it does.
func (e *Entry) StartAgain(now time.Time) bool {
	was := e.state.Load()
	if !e.Lazy || !e.Alive() || was == nil || was.name != StateExited || now.Sub(was.exited) < restartPause {
		return false
	}
	next := *was
	next.name, next.exit, next.log = StateStarting, nil, nil
	if !e.state.CompareAndSwap(was, &next) {
		return e.Starting()
	}
	e.lease.starts(StateStarting)
	e.lease.tell(Event{Kind: EventStart, Reason: "it was asked for again"})
	return true
}

// Starting reports whether the app of a run is expected to listen soon.
func (e *Entry) Starting() bool {
	s := e.CurrentState()
	return (s == StateStarting || s == StateIdle) && e.Alive()
}

// Alive reports whether a leased route's client holds its lease.
func (e *Entry) Alive() bool {
	if e.lease == nil {
		return false
	}
	select {
	case <-e.lease.done:
		return false
	default:
		return true
	}
}

// Refused notes that the app refused a connection, and gives since when it has.
func (e *Entry) Refused(now time.Time) time.Time {
	e.refused.CompareAndSwap(0, now.UnixNano())
	return time.Unix(0, e.refused.Load())
}

// Reached notes that the app was reached.
func (e *Entry) Reached() {
	if e.refused.Load() != 0 {
		e.refused.Store(0)
	}
}
