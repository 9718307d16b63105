package routes

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// returnTime is how long requests wait until the runs of an earlier daemon have
// registered again. Their clients retry at least every two seconds.
const returnTime = 3 * time.Second

// returning tracks the runs of an earlier daemon that have not registered again. It is
// safe for concurrent use.
type returning struct {
	until    time.Time
	expected bool // there were any
	mu       sync.Mutex
	hosts    map[string]chan struct{} // closed when the host has a route again
}

func newReturning(hosts []string, now time.Time) *returning {
	r := &returning{until: now.Add(returnTime), expected: len(hosts) > 0, hosts: map[string]chan struct{}{}}
	for _, host := range hosts {
		r.hosts[host] = make(chan struct{})
	}
	return r
}

// returned records that a host has a route.
func (r *returning) returned(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if back, ok := r.hosts[host]; ok {
		close(back)
		delete(r.hosts, host)
	}
}

// await waits until a host has returned. It returns at once if the host is not expected,
// and at the latest when ctx or returnTime ends.
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

// Returning reports whether runs of an earlier daemon may still register with this one.
func (t *Table) Returning() bool {
	return t.returning.expected && t.cfg.Now().Before(t.returning.until)
}

// AwaitReturn waits until the host's run, which an earlier daemon served, has registered
// again. It returns at once for any other host.
func (t *Table) AwaitReturn(ctx context.Context, host string) {
	t.returning.await(ctx, host, t.cfg.Now())
}

// expects reports whether the host's run may still register again.
func (r *returning) expects(host string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.hosts[host]
	return ok && now.Before(r.until)
}

// pending returns the hosts that may still return.
func (r *returning) pending(now time.Time) []string {
	if !now.Before(r.until) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.hosts))
}

// AwaitRuns waits, at most for returnTime, until all runs of an earlier daemon have
// registered again. The daemon calls it before a handover, because requests that wait
// here would not notice a registration with the successor.
func (t *Table) AwaitRuns(ctx context.Context) {
	for _, host := range t.returning.pending(t.cfg.Now()) {
		t.returning.await(ctx, host, t.cfg.Now())
	}
}

// Runs returns the sorted hosts of the runs that hold a lease or have not registered
// again yet. During a handover the successor makes requests for them wait until their
// clients have registered.
func (t *Table) Runs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.runs()
}

// runs is Runs with t.mu held.
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
