package routes

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/fault"
)

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

// pick returns a random number from low to high.
func pick(low, high int) int { return low + rand.IntN(high-low+1) }
