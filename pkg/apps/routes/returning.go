package routes

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// returnTime is how long requests wait for the runs of an earlier daemon to
// register again: their clients try every two seconds at most.
const returnTime = 3 * time.Second

// returning are the hosts of runs that an earlier daemon served and that have not
// registered again. It is safe for concurrent use.
type returning struct {
	until    time.Time
	expected bool // there were any
	mu       sync.Mutex
	hosts    map[string]chan struct{} // closed once the host has its route again
}

func newReturning(hosts []string, now time.Time) *returning {
	r := &returning{until: now.Add(returnTime), expected: len(hosts) > 0, hosts: map[string]chan struct{}{}}
	for _, host := range hosts {
		r.hosts[host] = make(chan struct{})
	}
	return r
}

// returned notes that a host has a route.
func (r *returning) returned(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if back, ok := r.hosts[host]; ok {
		close(back)
		delete(r.hosts, host)
	}
}

// await waits for a host to come back. It returns at once for one that is not
// expected, and at the latest when ctx or the time for coming back ends.
func (r *returning) await(ctx context.Context, host string, now time.Time) {
	if !now.Before(r.until) {
		return
	}
	r.mu.Lock()
	back, ok := r.hosts[host]
	r.mu.Unlock()
	if !ok {
		return
	}
	timer := time.NewTimer(r.until.Sub(now))
	defer timer.Stop()
	select {
	case <-back:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Returning reports whether runs of an earlier daemon were expected to register
// with this one, and may still.
func (t *Table) Returning() bool {
	return t.returning.expected && t.cfg.Now().Before(t.returning.until)
}

// AwaitReturn waits for the run of a host that an earlier daemon served to
// register again; for any other host it returns at once.
func (t *Table) AwaitReturn(ctx context.Context, host string) {
	t.returning.await(ctx, host, t.cfg.Now())
}

// expects reports whether the run of a host may still come back.
func (r *returning) expects(host string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.hosts[host]
	return ok && now.Before(r.until)
}

// pending are the hosts that may still come back.
func (r *returning) pending(now time.Time) []string {
	if !now.Before(r.until) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.hosts))
}

// AwaitRuns waits until all runs of an earlier daemon have registered again, at
// most for the time that requests wait for them: those that wait here would not
// learn of a registration with a successor.
func (t *Table) AwaitRuns(ctx context.Context) {
	for _, host := range t.returning.pending(t.cfg.Now()) {
		t.returning.await(ctx, host, t.cfg.Now())
	}
}

// Runs gives the hosts of the runs that hold a lease now, or have not come back
// yet, sorted: a successor has requests for them wait until their clients have
// registered again.
func (t *Table) Runs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.runs()
}

// runs is Runs; the caller holds t.mu.
func (t *Table) runs() []string {
	hosts := t.returning.pending(t.cfg.Now())
	for _, r := range t.routes {
		if r.Kind == Leased {
			hosts = append(hosts, r.Hostname)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
