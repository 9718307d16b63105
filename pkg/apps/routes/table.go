package routes

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/fault"
)

// evictionTime is how long a run has to stop when its name is taken by force.
const evictionTime = 15 * time.Second

// Config configures a Table.
type Config struct {
	Path string // routes.json; "" keeps the routes only in memory
	// Wildcards reports whether every route also serves the names below its own; nil
	// means never.
	Wildcards func() bool
	// Returning are the hosts of runs that a predecessor served. Requests for them, and
	// for the runs named in routes.json, wait briefly until their clients have registered
	// again.
	Returning []string
	// StdTransport uses net/http's Transport instead of package http1's.
	StdTransport bool
	// Dropped is called with a route that is removed because its process has exited; it
	// may be nil.
	Dropped func(Route)
	// Changed is called after each change of the routes, with locks held. It must not
	// block, nor call the table. It may be nil.
	Changed func()
	Logger  *slog.Logger     // discards when nil
	Now     func() time.Time // time.Now when nil
}

// Table is the route table. It is safe for concurrent use.
type Table struct {
	cfg  Config
	log  *slog.Logger
	disk *disk

	current atomic.Pointer[index]

	mu       sync.Mutex // guards changes of the table
	routes   []*Entry
	reserved map[int]time.Time // ports reserved for apps that have not opened them yet, with the end of the reservation
	released *sync.Cond        // signals that a lease has ended
	owned    chan struct{}     // capacity 1: signals that a Process route was added
	leases   uint64            // counter for ids
	past     map[string]*LastRun
	took     map[string]time.Duration // duration of the last start, by name

	returning *returning
}

// index is an immutable snapshot of the table for requests: routes by host name, longest
// prefix first.
type index struct {
	byHost map[string][]*Entry
}

// New returns a table with the stored routes. A file or a route that cannot be used is
// kept aside, logged, and reported in warnings.
func New(cfg Config) (t *Table, warnings []string, err error) {
	if cfg.Wildcards == nil {
		cfg.Wildcards = func() bool { return false }
	}
	if cfg.Dropped == nil {
		cfg.Dropped = func(Route) {}
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t = &Table{owned: make(chan struct{}, 1), cfg: cfg, log: cfg.Logger, reserved: map[int]time.Time{}, past: map[string]*LastRun{}, took: map[string]time.Duration{}}
	t.released = sync.NewCond(&t.mu)
	defer func() {
		for _, warning := range warnings {
			cfg.Logger.Warn(warning) // t is nil if the file cannot be read
		}
	}()
	if t.disk, warnings, err = openDisk(cfg.Path, cfg.Now); err != nil {
		return nil, warnings, err
	}
	t.returning = newReturning(append(slices.Clone(cfg.Returning), t.disk.file.Runs...), cfg.Now())
	for _, kept := range t.disk.file.Routes {
		if kept.ended() {
			continue
		}
		r, err := t.make(kept.registration())
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("route %q in %s cannot be used: %v", kept.Name, cfg.Path, err))
			continue
		}
		t.routes = append(t.routes, r)
	}
	t.publish()
	t.recall(t.disk.file.Past)
	return t, warnings, nil
}

// make validates a registration and returns its entry, which is not in the table yet.
func (t *Table) make(reg Registration) (*Entry, error) {
	name, err := appname.Check(reg.Name)
	if err != nil {
		f := *fault.From(err)
		f.Kind = fault.Invalid
		return nil, &f
	}
	r := &Entry{Route: Route{
		Name: name, Hostname: name + appname.Suffix, KeepHost: reg.KeepHost, Insecure: reg.Insecure, Wildcard: reg.Wildcard, Alias: reg.Alias,
		Lazy: reg.Lazy, Command: reg.Command, Directory: reg.Directory, Output: reg.Output, Since: t.cfg.Now(), PID: reg.PID,
	}}
	if r.PathPrefix, err = cleanPrefix(reg.PathPrefix); err != nil {
		return nil, err
	}
	switch {
	case reg.Target != "" && reg.Port != 0:
		return nil, &fault.Error{Kind: fault.Invalid, Param: "port", Message: "give a port or a target, not both"}
	case reg.Target != "":
		if r.Target, err = http1.ParseTarget(reg.Target); err != nil {
			return nil, err
		}
	case reg.Port >= 1 && reg.Port <= 65535:
		r.Target = http1.PortTarget(reg.Port)
	default:
		return nil, &fault.Error{Kind: fault.Invalid, Param: "port", Message: "a route needs a port between 1 and 65535, or a target"}
	}
	if reg.PID < 0 {
		return nil, &fault.Error{Kind: fault.Invalid, Param: "pid", Message: "a process id must not be negative"}
	}
	if reg.PID > 0 {
		r.Kind = Process
		if r.owner, err = identify(reg.PID); err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Param: "pid", Message: fmt.Sprintf("there is no process %d", reg.PID)}
		}
	}
	r.upstream = t.newUpstream(r)
	return r, nil
}

// newUpstream returns the upstream of an entry. The protocol of a port on this machine is
// detected, because dev servers may speak https by their own configuration.
func (t *Table) newUpstream(e *Entry) *http1.Upstream {
	return http1.New(http1.Config{Insecure: e.Insecure, Std: t.cfg.StdTransport, Detect: !e.Target.URL && e.Target.Loopback()})
}

// cleanPrefix validates a path prefix. Prefixes are compared with unescaped paths. "/"
// and "" mean none.
func cleanPrefix(prefix string) (string, error) {
	trimmed := strings.TrimRight(prefix, "/")
	if trimmed == "" {
		return "", nil
	}
	if trimmed[0] != '/' || strings.ContainsAny(trimmed, "?#%\\ \x00\r\n") || strings.Contains(trimmed, "//") || strings.Contains(trimmed+"/", "/../") {
		return "", &fault.Error{Kind: fault.Invalid, Param: "path_prefix", Message: fmt.Sprintf("%q is not a path prefix such as /api", prefix)}
	}
	return trimmed, nil
}

// Register adds a standing route, or one that exists as long as its process. When it
// returns, the route is stored on disk. If the name has a live owner, the error is
// fault.Conflict, unless reg.Force is set.
func (t *Table) Register(ctx context.Context, reg Registration) (Route, error) {
	r, err := t.make(reg)
	if err != nil {
		return Route{}, err
	}
	t.mu.Lock()
	old := t.find(r.Hostname, r.PathPrefix)
	if err := t.takeName(ctx, r, reg.Force); err != nil {
		t.mu.Unlock()
		return Route{}, err
	}
	t.add(r)
	snapshot := r.Snapshot()
	t.mu.Unlock()
	if err := t.save(); err != nil {
		t.restore(old, r)
		return Route{}, err
	}
	t.log.Info("route added", "host", r.Hostname, "target", r.Target.String())
	return snapshot, nil
}

// restore undoes a change that could not be stored, because a rejected change must not
// remain in effect until the next restart. It removes added and puts old back, if it is
// not nil and the name has not been taken since.
func (t *Table) restore(old, added *Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putBack(old, added)
}

// putBack is restore with t.mu held.
func (t *Table) putBack(old, added *Entry) {
	if added != nil && slices.Contains(t.routes, added) {
		t.remove(added)
	}
	if old != nil && old.Kind != Leased && t.find(old.Hostname, old.PathPrefix) == nil {
		// The old entry cannot be used again: its removal closed its upstream.
		back := &Entry{Route: old.Route, owner: old.owner}
		back.upstream = t.newUpstream(back)
		t.add(back)
	}
}

// takeName makes the place of r free, or returns who holds it. t.mu must be held; it is
// released while an evicted run stops.
func (t *Table) takeName(ctx context.Context, r *Entry, force bool) error {
	deadline := time.Now().Add(evictionTime)
	for {
		old := t.find(r.Hostname, r.PathPrefix)
		switch {
		case old == nil:
			return nil
		case old.Kind == Standing && r.Kind == Leased && (force || t.returning.expects(r.Hostname, t.cfg.Now())):
			t.remove(old)
			r.lease.resting = old // until the run has ended
			return nil
		case old.Kind == Standing && (r.Kind == Standing || force):
			t.remove(old)
			return nil
		case old.Kind == Process && (force || !old.owner.alive() || (r.Kind == Process && r.owner == old.owner)):
			t.remove(old) // Hostless did not start its process, so it is not signaled
			return nil
		case old.Kind == Leased && force:
			if err := t.evict(ctx, old, deadline); err != nil {
				return err
			}
		default:
			return taken(old)
		}
	}
}

// taken returns the error for a name that has an owner.
func taken(old *Entry) error {
	s := old.Snapshot()
	who := "an alias to " + s.Target.String()
	switch {
	case s.Kind == Leased && s.PID > 0:
		who = fmt.Sprintf("a run of %s (pid %d)", cmp.Or(s.Command, s.Name), s.PID)
	case s.Kind == Leased:
		who = "a run of " + cmp.Or(s.Command, s.Name)
	case s.Kind == Process:
		who = fmt.Sprintf("process %d", s.PID)
	case !s.Alias:
		who = "a route to " + s.Target.String()
	}
	if s.Directory != "" {
		who += " in " + s.Directory
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: "name_taken", Message: fmt.Sprintf("%s is taken by %s since %s", s.Hostname, who, s.Since.Format("15:04")),
		Next: "use another name, or --force to take it",
	}
}

// vacate stops the run that holds a host, if there is one.
func (t *Table) vacate(ctx context.Context, host string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.find(host, ""); old != nil && old.Kind == Leased {
		return t.evict(ctx, old, time.Now().Add(evictionTime))
	}
	return nil
}

// evict asks a run to stop and waits until it has. t.mu must be held.
func (t *Table) evict(ctx context.Context, old *Entry, deadline time.Time) error {
	old.lease.tell(Event{Kind: EventEvicted, Reason: "another run took the name " + old.Name + " with --force"})
	stop := context.AfterFunc(ctx, func() { t.mu.Lock(); t.released.Broadcast(); t.mu.Unlock() })
	defer stop()
	timer := time.AfterFunc(time.Until(deadline), func() { t.mu.Lock(); t.released.Broadcast(); t.mu.Unlock() })
	defer timer.Stop()
	for t.find(old.Hostname, old.PathPrefix) == old {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !time.Now().Before(deadline) {
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("the run that holds %s was asked to stop and did not", old.Hostname)}
		}
		t.released.Wait()
	}
	return nil
}

// Deregister removes a route by name and prefix. Without such a route the error is
// fault.NotFound; if a live run holds it, fault.Conflict.
func (t *Table) Deregister(_ context.Context, name, prefix string) (Route, error) {
	clean, err := appname.Check(name)
	if err != nil {
		f := *fault.From(err)
		f.Kind = fault.Invalid
		return Route{}, &f
	}
	t.mu.Lock()
	old := t.find(clean+appname.Suffix, strings.TrimRight(prefix, "/"))
	if old == nil {
		t.mu.Unlock()
		return Route{}, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no route %q", clean), Next: "hostless list"}
	}
	if old.Kind == Leased {
		t.mu.Unlock()
		f := *fault.From(taken(old))
		f.Next = "hostless stop " + clean
		return Route{}, &f
	}
	t.remove(old)
	t.mu.Unlock()
	if err := t.save(); err != nil {
		t.restore(old, nil)
		return Route{}, err
	}
	t.log.Info("route removed", "host", old.Hostname)
	return old.Snapshot(), nil
}

// List returns all routes, sorted by host name and prefix.
func (t *Table) List() []Route {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Route, 0, len(t.routes))
	for _, r := range t.routes {
		out = append(out, r.Snapshot())
	}
	slices.SortFunc(out, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.PathPrefix, b.PathPrefix))
	})
	return out
}

// Serves reports whether an app serves any path of the host.
func (t *Table) Serves(host string) bool {
	return len(t.current.Load().byHost[host]) > 0 || t.Lookup(host, "/") != nil
}

// Lookup finds the route for a host and path. An exact name goes before the closest
// wildcard above it, and a longer prefix before a shorter one. The host must have the
// form of HostOf.
func (t *Table) Lookup(host, path string) *Entry {
	idx := t.current.Load()
	if e := match(idx.byHost[host], path, true); e != nil {
		return e
	}
	all := t.cfg.Wildcards()
	for {
		_, rest, ok := strings.Cut(host, ".")
		if !ok || !strings.HasSuffix(rest, appname.Suffix) {
			return nil
		}
		host = rest
		if e := match(idx.byHost[host], path, all); e != nil {
			return e
		}
	}
}

func match(routes []*Entry, path string, any bool) *Entry {
	for _, r := range routes {
		if !any && !r.Wildcard {
			continue
		}
		if rest, ok := strings.CutPrefix(path, r.PathPrefix); ok && (rest == "" || rest[0] == '/' || r.PathPrefix == "") {
			return r
		}
	}
	return nil
}

// find returns the entry with exactly this host and prefix. t.mu must be held.
func (t *Table) find(hostname, prefix string) *Entry {
	for _, r := range t.routes {
		if r.Hostname == hostname && r.PathPrefix == prefix {
			return r
		}
	}
	return nil
}

func (t *Table) add(r *Entry) {
	delete(t.past, r.Name) // the last run of the name is outdated
	t.routes = append(t.routes, r)
	t.publish()
	t.returning.returned(r.Hostname)
	if r.Kind == Process {
		select {
		case t.owned <- struct{}{}:
		default:
		}
	}
}

func (t *Table) remove(r *Entry) {
	t.routes = slices.DeleteFunc(t.routes, func(other *Entry) bool { return other == r })
	t.publish()
	r.upstream.Close()
}

// At returns the routes of exactly this host name, longest path prefix first. The slice
// must not be modified.
func (t *Table) At(hostname string) []*Entry { return t.current.Load().byHost[hostname] }

// Hosts calls yield with each host name that has routes, in no particular order.
func (t *Table) Hosts(yield func(hostname string, routes []*Entry) bool) {
	for host, routes := range t.current.Load().byHost {
		if !yield(host, routes) {
			return
		}
	}
}

// publish makes the current table visible to requests. t.mu must be held.
func (t *Table) publish() {
	idx := &index{byHost: map[string][]*Entry{}}
	for _, r := range t.routes {
		idx.byHost[r.Hostname] = append(idx.byHost[r.Hostname], r)
	}
	for _, routes := range idx.byHost {
		slices.SortFunc(routes, func(a, b *Entry) int { return cmp.Compare(len(b.PathPrefix), len(a.PathPrefix)) })
	}
	t.current.Store(idx)
	t.cfg.Changed()
}

// save stores the routes, the names of runs and the remembered ports on disk.
func (t *Table) save() error {
	return t.disk.write(func() ([]diskRoute, []string, []pastRun) {
		t.mu.Lock()
		defer t.mu.Unlock()
		out := []diskRoute{}
		for _, r := range t.routes {
			if r.Kind == Leased {
				r = r.lease.resting
			}
			if r != nil {
				out = append(out, r.onDisk())
			}
		}
		return out, t.runs(), t.pastRuns()
	})
}

// sweepEvery is how often the processes of routes are checked.
const sweepEvery = time.Second

// Run removes the routes of processes that have exited, until ctx ends. It only wakes up
// while there are such routes.
func (t *Table) Run(ctx context.Context) error {
	tick := time.NewTimer(sweepEvery)
	defer tick.Stop()
	for {
		wait := tick.C
		if !t.sweep() {
			wait = nil
		}
		tick.Reset(sweepEvery)
		select {
		case <-ctx.Done():
			return nil
		case <-t.owned:
		case <-wait:
		}
	}
}

// sweep removes the routes of processes that have exited, and reports whether others are
// left. It checks the processes without the lock, because that runs ps(1) on macOS.
func (t *Table) sweep() (left bool) {
	t.mu.Lock()
	var owned, dropped []*Entry
	for _, r := range t.routes {
		if r.Kind == Process {
			owned = append(owned, r)
		}
	}
	t.mu.Unlock()
	for _, r := range owned {
		if !r.owner.alive() {
			dropped = append(dropped, r)
		}
	}
	for _, r := range dropped {
		t.mu.Lock()
		there := slices.Contains(t.routes, r)
		if there {
			t.remove(r)
		}
		t.mu.Unlock()
		if there {
			t.log.Info("route removed: its process has exited", "host", r.Hostname, "pid", r.PID)
			t.cfg.Dropped(r.Snapshot())
		}
	}
	return len(dropped) < len(owned)
}

// Len returns the number of routes.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.routes)
}

// Close closes the idle connections to apps.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.routes {
		r.upstream.Close()
	}
	return nil
}

// pick returns a random number from low to high.
func pick(low, high int) int { return low + rand.IntN(high-low+1) }
