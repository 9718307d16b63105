package routes

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/http1"
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

// newUpstream returns the upstream of an entry. The protocol of a port on this machine is
// detected, because dev servers may speak https by their own configuration.
func (t *Table) newUpstream(e *Entry) *http1.Upstream {
	return http1.New(http1.Config{Insecure: e.Insecure, Std: t.cfg.StdTransport, Detect: !e.Target.URL && e.Target.Loopback()})
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
