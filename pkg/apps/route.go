package apps

import (
	"sync/atomic"
	"time"
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

// Where the output of a leased app is, besides what its client tells of it.
const (
	OutputTerminal = "terminal" // that it was started in
	OutputLog      = "log"      // that `hostless logs NAME` shows
)

// Route is one entry of the table as it stood when it was asked for.
type Route struct {
	Name       string // as registered: myapp, api.myapp
	Hostname   string // Name and the suffix of all apps
	Target     Target
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

// route is the live entry. Its state changes; the rest is fixed, and a change of
// the rest makes a new one.
type route struct {
	Route
	owner    process // of a Process route
	lease    *Lease  // of a Leased one
	state    atomic.Pointer[state]
	upstream *upstream
}

// state is what a lease's client tells of its app.
type state struct {
	target Target
	pid    int
	name   string
	exit   *int
	log    []string
}

// snapshot gives the route as it is now.
func (r *route) snapshot() Route {
	out := r.Route
	if s := r.state.Load(); s != nil {
		out.Target, out.PID, out.State, out.Exit, out.Log = s.target, s.pid, s.name, s.exit, s.log
	}
	return out
}

// target is where the app is now.
func (r *route) target() Target {
	if s := r.state.Load(); s != nil {
		return s.target
	}
	return r.Target
}
