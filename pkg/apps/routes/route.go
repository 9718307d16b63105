package routes

import (
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
)

// Kind is what keeps a route in the table.
type Kind int

const (
	Standing Kind = iota // until it is removed; stored on disk
	Process              // while the process that registered it lives; stored on disk with its start time
	Leased               // while its client holds the lease
)

// States of a leased route's app.
const (
	StateStarting  = "starting"
	StateListening = "listening"
	StateExited    = "exited"
	StateIdle      = "idle" // lazy: not started until the first request
)

// Registration describes a route to add.
type Registration struct {
	Name       string
	Target     string // see http1.ParseTarget; "" with Port or Reserve
	Port       int
	PID        int  // the owner; 0 means none
	Reserve    bool // lease: choose and reserve a port
	Force      bool // take the name from its owner
	KeepHost   bool // send the client's Host to a URL target
	Insecure   bool // do not verify the target's certificate
	Wildcard   bool // also serve all names below this one
	PathPrefix string
	Alias      bool // a standing route created by a person
	Lazy       bool // lease: started by the first request
	Command    string
	Directory  string
	Output     string // lease: where the output goes: OutputTerminal, OutputLog or ""
}

// Where the output of a leased app goes, besides the lines that its client reports.
const (
	OutputTerminal = "terminal" // the terminal that it was started in
	OutputLog      = "log"      // the log that `hostless logs NAME` shows
)

// Route is a snapshot of an entry of the table.
type Route struct {
	Name       string // as registered: myapp, api.myapp
	Hostname   string // Name with appname.Suffix
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
	State      string   // state of a leased route's app
	Exit       *int     // exit code in StateExited
	Log        []string // last lines of the output
}

// Entry is a route in the table. It is safe for concurrent use. Only the state of a
// leased route changes; for any other change, the entry is replaced.
type Entry struct {
	Route
	owner    process // owner of a Process route
	lease    *Lease  // lease of a Leased route
	state    atomic.Pointer[state]
	upstream *http1.Upstream
	refused  atomic.Int64 // since when connections are refused, in Unix nanoseconds; 0 if they are not
}

// state is the latest report of a lease's client.
type state struct {
	target http1.Target
	pid    int
	name   string
	exit   *int
	exited time.Time // when the app exited, in StateExited
	log    []string
}

// Snapshot returns the current state of the route.
func (e *Entry) Snapshot() Route {
	out := e.Route
	if s := e.state.Load(); s != nil {
		out.Target, out.PID, out.State, out.Exit, out.Log = s.target, s.pid, s.name, s.exit, s.log
	}
	return out
}

// CurrentTarget returns the app's current address.
func (e *Entry) CurrentTarget() http1.Target {
	if s := e.state.Load(); s != nil {
		return s.target
	}
	return e.Target
}

// CurrentState returns the state of a leased route's app, "" for other routes.
func (e *Entry) CurrentState() string {
	if s := e.state.Load(); s != nil {
		return s.name
	}
	return ""
}

// Upstream returns the connection pool for the app.
func (e *Entry) Upstream() *http1.Upstream { return e.upstream }

// Start asks the client of a lazy route to start the app. It does nothing for other
// routes.
func (e *Entry) Start() {
	if e.lease != nil {
		e.lease.starts(StateIdle)
		e.lease.tell(Event{Kind: EventStart, Reason: "a request arrived for it"})
	}
}

// restartPause is how long after a crash a lazy app is not started again by a request, so
// that follow-up requests such as the page's favicon do not restart it.
const restartPause = time.Second

// StartAgain starts a lazy app that has crashed. It reports whether it did.
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
	e.lease.tell(Event{Kind: EventStart, Reason: "another request arrived for it"})
	return true
}

// Starting reports whether the app of a run is starting.
func (e *Entry) Starting() bool {
	s := e.CurrentState()
	return (s == StateStarting || s == StateIdle) && e.Alive()
}

// Alive reports whether the client of a leased route holds its lease.
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

// Refused records that the app refused a connection, and returns since when it has.
func (e *Entry) Refused(now time.Time) time.Time {
	e.refused.CompareAndSwap(0, now.UnixNano())
	return time.Unix(0, e.refused.Load())
}

// Reached records that the app accepted a connection.
func (e *Entry) Reached() {
	if e.refused.Load() != 0 {
		e.refused.Store(0)
	}
}
