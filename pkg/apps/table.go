package apps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
)

// How long the owner of a name that is taken by force has to end.
const evictionTime = 15 * time.Second

// Config is what New needs.
type Config struct {
	Path string // routes.json; "" keeps standing routes in memory only
	// URL gives the address of an app for people, by its host name; required.
	URL func(hostname string) string
	// Wildcards says whether every route serves the names below its own too; nil
	// is never.
	Wildcards func() bool
	// TrustedProxies are the peers whose forwarding headers are believed; nil is
	// nobody.
	TrustedProxies func() []netip.Prefix
	// Hold is how long a request of no browser waits for an app that is
	// starting: 5 s when zero.
	Hold time.Duration
	// StockTransport sends requests through net/http's Transport instead of this
	// package's own.
	StockTransport bool
	// Dropped is told of a route that goes because its process has ended; nil
	// is told nothing.
	Dropped func(Route)
	Logger  *slog.Logger     // discards when nil
	Now     func() time.Time // time.Now when nil
}

// Plane is the reverse plane: the route table and the handler that proxies by
// it. It is safe for concurrent use.
type Plane struct {
	cfg  Config
	log  *slog.Logger
	disk *disk

	current atomic.Pointer[index]

	mu       sync.Mutex // over changes of the table
	routes   []*route
	reserved map[int]time.Time // ports promised to apps that have not opened them yet
	released *sync.Cond        // a lease has ended
	leases   uint64            // counts, for ids
	past     map[string]*lastRun

	closing context.Context // ends upgraded connections
	end     context.CancelFunc
}

// index is the table as requests look it up: by host name, prefixes longest first.
type index struct {
	byHost map[string][]*route
}

// New makes the plane and reads the standing routes. What cannot be used is kept
// aside and told by warnings.
func New(cfg Config) (p *Plane, warnings []string, err error) {
	if cfg.URL == nil {
		return nil, nil, errors.New("apps: URL is required")
	}
	if cfg.Wildcards == nil {
		cfg.Wildcards = func() bool { return false }
	}
	if cfg.TrustedProxies == nil {
		cfg.TrustedProxies = func() []netip.Prefix { return nil }
	}
	if cfg.Dropped == nil {
		cfg.Dropped = func(Route) {}
	}
	if cfg.Hold == 0 {
		cfg.Hold = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p = &Plane{cfg: cfg, log: cfg.Logger, reserved: map[int]time.Time{}, past: map[string]*lastRun{}}
	p.closing, p.end = context.WithCancel(context.Background())
	p.released = sync.NewCond(&p.mu)
	if p.disk, warnings, err = openDisk(cfg.Path, cfg.Now); err != nil {
		return nil, warnings, err
	}
	for _, kept := range p.disk.file.Routes {
		if kept.ended() {
			continue
		}
		r, err := p.make(kept.registration())
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("route %q in %s cannot be used: %v", kept.Name, cfg.Path, err))
			continue
		}
		p.routes = append(p.routes, r)
	}
	p.publish()
	return p, warnings, nil
}

// make checks a registration and makes its route, not yet in the table.
func (p *Plane) make(reg Registration) (*route, error) {
	name, err := appname.Check(reg.Name)
	if err != nil {
		f := *fault.From(err)
		f.Kind = fault.Invalid
		return nil, &f
	}
	r := &route{Route: Route{
		Name: name, Hostname: name + appname.Suffix, KeepHost: reg.KeepHost, Insecure: reg.Insecure, Wildcard: reg.Wildcard, Alias: reg.Alias,
		Lazy: reg.Lazy, Command: reg.Command, Directory: reg.Directory, Output: reg.Output, Since: p.cfg.Now(), PID: reg.PID,
	}}
	if r.PathPrefix, err = cleanPrefix(reg.PathPrefix); err != nil {
		return nil, err
	}
	switch {
	case reg.Target != "" && reg.Port != 0:
		return nil, &fault.Error{Kind: fault.Invalid, Param: "port", Message: "a route has a port or a target, not both"}
	case reg.Target != "":
		if r.Target, err = ParseTarget(reg.Target); err != nil {
			return nil, err
		}
	case reg.Port >= 1 && reg.Port <= 65535:
		r.Target = portTarget(reg.Port)
	default:
		return nil, &fault.Error{Kind: fault.Invalid, Param: "port", Message: "a route needs a port between 1 and 65535, or a target"}
	}
	if reg.PID < 0 {
		return nil, &fault.Error{Kind: fault.Invalid, Param: "pid", Message: "a process id is not negative"}
	}
	if reg.PID > 0 {
		r.Kind = Process
		if r.owner, err = identify(reg.PID); err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Param: "pid", Message: fmt.Sprintf("there is no process %d", reg.PID)}
		}
	}
	r.upstream = newUpstream(r.Insecure, p.cfg.StockTransport)
	return r, nil
}

// cleanPrefix checks a path prefix, which is held against paths as they read
// without escapes; "/" and "" are none.
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

// Register adds a route that stays (without a process) or lives as long as its
// process. It is on disk, where it belongs there, when Register returns. A name
// with a live owner is fault.Conflict, unless reg.Force.
func (p *Plane) Register(ctx context.Context, reg Registration) (Route, error) {
	r, err := p.make(reg)
	if err != nil {
		return Route{}, err
	}
	p.mu.Lock()
	old := p.find(r.Hostname, r.PathPrefix)
	if err := p.takeName(ctx, r, reg.Force); err != nil {
		p.mu.Unlock()
		return Route{}, err
	}
	p.add(r)
	snapshot := r.snapshot()
	p.mu.Unlock()
	if err := p.save(); err != nil {
		p.restore(old, r)
		return Route{}, err
	}
	p.log.Info("route added", "host", r.Hostname, "target", r.Target.String())
	return snapshot, nil
}

// restore puts the table back as it was before a change that could not be
// written: what was refused must not hold until the next restart. added goes,
// old (nil where there was none) comes back unless the name was taken meanwhile.
func (p *Plane) restore(old, added *route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if added != nil && slices.Contains(p.routes, added) {
		p.remove(added)
	}
	if old != nil && old.Kind != Leased && p.find(old.Hostname, old.PathPrefix) == nil {
		// A new entry: removing the old one closed its connections for good.
		p.add(&route{Route: old.Route, owner: old.owner, upstream: newUpstream(old.Insecure, p.cfg.StockTransport)})
	}
}

// takeName frees the place of r, or says who holds it. The caller holds p.mu,
// which is given up while a run that is evicted ends.
func (p *Plane) takeName(ctx context.Context, r *route, force bool) error {
	deadline := time.Now().Add(evictionTime)
	for {
		old := p.find(r.Hostname, r.PathPrefix)
		switch {
		case old == nil:
			return nil
		case old.Kind == Standing && (r.Kind == Standing || force):
			p.remove(old)
			return nil
		case old.Kind == Process && (force || !old.owner.alive() || (r.Kind == Process && r.owner == old.owner)):
			p.remove(old) // not started by Hostless: nobody is signalled
			return nil
		case old.Kind == Leased && force:
			if err := p.evict(ctx, old, deadline); err != nil {
				return err
			}
		default:
			return taken(old)
		}
	}
}

// taken is the refusal of a name that has an owner.
func taken(old *route) error {
	s := old.snapshot()
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

// vacate ends the run that holds a host, where one does.
func (p *Plane) vacate(ctx context.Context, host string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.find(host, ""); old != nil && old.Kind == Leased {
		return p.evict(ctx, old, time.Now().Add(evictionTime))
	}
	return nil
}

// evict asks a run to end and waits until it has. The caller holds p.mu.
func (p *Plane) evict(ctx context.Context, old *route, deadline time.Time) error {
	old.lease.tell(Event{Kind: EventEvicted, Reason: "another run took the name " + old.Name + " with --force"})
	stop := context.AfterFunc(ctx, func() { p.mu.Lock(); p.released.Broadcast(); p.mu.Unlock() })
	defer stop()
	timer := time.AfterFunc(time.Until(deadline), func() { p.mu.Lock(); p.released.Broadcast(); p.mu.Unlock() })
	defer timer.Stop()
	for p.find(old.Hostname, old.PathPrefix) == old {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !time.Now().Before(deadline) {
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("the run that holds %s was told to end and did not", old.Hostname)}
		}
		p.released.Wait()
	}
	return nil
}

// Deregister removes a route by name and prefix. None is fault.NotFound; one
// that a live run holds is fault.Conflict.
func (p *Plane) Deregister(_ context.Context, name, prefix string) (Route, error) {
	clean, err := appname.Check(name)
	if err != nil {
		f := *fault.From(err)
		f.Kind = fault.Invalid
		return Route{}, &f
	}
	p.mu.Lock()
	old := p.find(clean+appname.Suffix, strings.TrimRight(prefix, "/"))
	if old == nil {
		p.mu.Unlock()
		return Route{}, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no route %q", clean), Next: "hostless list"}
	}
	if old.Kind == Leased {
		p.mu.Unlock()
		f := *fault.From(taken(old))
		f.Next = "hostless stop " + clean
		return Route{}, &f
	}
	p.remove(old)
	p.mu.Unlock()
	if err := p.save(); err != nil {
		p.restore(old, nil)
		return Route{}, err
	}
	p.log.Info("route removed", "host", old.Hostname)
	return old.snapshot(), nil
}

// List gives all routes by host name and prefix.
func (p *Plane) List() []Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Route, 0, len(p.routes))
	for _, r := range p.routes {
		out = append(out, r.snapshot())
	}
	slices.SortFunc(out, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.PathPrefix, b.PathPrefix))
	})
	return out
}

// Serves reports whether any path of that host reaches an app.
func (p *Plane) Serves(host string) bool {
	return len(p.current.Load().byHost[host]) > 0 || p.lookup(host, "/") != nil
}

// lookup finds the route of a host and path: the exact name before the longest
// one above it, the longest prefix first. The host is as hostOf gives it.
func (p *Plane) lookup(host, path string) *route {
	idx := p.current.Load()
	if r := match(idx.byHost[host], path, true); r != nil {
		return r
	}
	all := p.cfg.Wildcards()
	for {
		_, rest, ok := strings.Cut(host, ".")
		if !ok || !strings.HasSuffix(rest, appname.Suffix) {
			return nil
		}
		host = rest
		if r := match(idx.byHost[host], path, all); r != nil {
			return r
		}
	}
}

func match(routes []*route, path string, any bool) *route {
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

// find gives the entry of exactly that host and prefix. The caller holds p.mu.
func (p *Plane) find(hostname, prefix string) *route {
	for _, r := range p.routes {
		if r.Hostname == hostname && r.PathPrefix == prefix {
			return r
		}
	}
	return nil
}

func (p *Plane) add(r *route) {
	delete(p.past, r.Name) // how another run of the name ended is no news any more
	p.routes = append(p.routes, r)
	p.publish()
}

func (p *Plane) remove(r *route) {
	p.routes = slices.DeleteFunc(p.routes, func(other *route) bool { return other == r })
	p.publish()
	r.upstream.close()
}

// publish makes the table visible to requests. The caller holds p.mu.
func (p *Plane) publish() {
	idx := &index{byHost: map[string][]*route{}}
	for _, r := range p.routes {
		idx.byHost[r.Hostname] = append(idx.byHost[r.Hostname], r)
	}
	for _, routes := range idx.byHost {
		slices.SortFunc(routes, func(a, b *route) int { return cmp.Compare(len(b.PathPrefix), len(a.PathPrefix)) })
	}
	p.current.Store(idx)
}

// save puts the standing routes and remembered ports on disk.
func (p *Plane) save() error {
	return p.disk.write(func() []diskRoute {
		p.mu.Lock()
		defer p.mu.Unlock()
		out := []diskRoute{}
		for _, r := range p.routes {
			if r.Kind != Leased {
				out = append(out, r.onDisk())
			}
		}
		return out
	})
}

// Run drops the routes of processes that have ended, until ctx ends.
func (p *Plane) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.sweep()
		}
	}
}

func (p *Plane) sweep() {
	p.mu.Lock()
	var dropped []Route
	for _, r := range slices.Clone(p.routes) {
		if r.Kind == Process && !r.owner.alive() {
			p.remove(r)
			dropped = append(dropped, r.snapshot())
		}
	}
	p.mu.Unlock()
	for _, r := range dropped {
		p.log.Info("route dropped, its process has ended", "host", r.Hostname, "pid", r.PID)
		p.cfg.Dropped(r)
	}
}

// Len is the number of routes.
func (p *Plane) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.routes)
}

// Close ends upgraded connections and idle ones to apps. Requests must have
// ended before.
func (p *Plane) Close() error {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.routes {
		r.upstream.close()
	}
	return nil
}

var (
	_ http.Handler = (*Plane)(nil)
	_ io.Closer    = (*Plane)(nil)
)

// pick gives a random element of a range.
func pick(low, high int) int { return low + rand.IntN(high-low+1) }
