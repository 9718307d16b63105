package launch

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/procinfo"
)

const (
	watchFirst  = 20 * time.Millisecond  // between looks, while the app starts
	watchSlow   = 250 * time.Millisecond // when it takes long to
	watchSteady = time.Second            // once it listens
	watchAnyway = 2 * time.Second        // without a change, while nothing listens
	// settle is how long another port than the one agreed on must be open
	// before it is taken for the app's: build tools open helpers first.
	settle = 600 * time.Millisecond

	inspectorFirst, inspectorLast = 9229, 9239 // node --inspect
	ephemeral                     = 32768      // the kernel's own choice begins here
)

// portChange is a change of what the tree listens on.
type portChange struct {
	port      int // the app's, 0 when it listens no more
	unplanned bool
}

// watcher looks which port the tree really opens.
type watcher struct {
	planned int
	tree    func() []procinfo.Process
	look    func([]procinfo.Process) []procinfo.Listener // listeners
	mark    func() string                                // socketMark
}

// run looks until ctx ends and reports each change. It is cheap: the tree's
// descriptors are read only after some listening socket came or went.
func (w watcher) run(ctx context.Context, report func(portChange)) {
	var t portTracker
	mark, wait := "", watchFirst
	var looked time.Time
	for {
		if m := w.mark(); m != mark || t.candidate != 0 || t.port == 0 && time.Since(looked) > watchAnyway {
			mark, looked = m, time.Now()
			if seen, changed := t.next(w.look(w.tree()), w.planned, time.Now()); changed {
				report(seen)
			}
		}
		switch {
		case t.candidate != 0:
			wait = settle / 6
		case t.port != 0:
			wait = watchSteady
		case wait > watchSlow:
			wait = watchSlow
		default:
			wait += wait / 8
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// portTracker is the pure part of the watcher: it turns looks into changes.
type portTracker struct {
	port      int       // the app's port as last reported
	candidate int       // an unplanned port that must settle first
	since     time.Time // when the candidate was first seen
}

// next takes one look. The planned port wins at once and always; the port that
// the app has is kept while it is open; any other must settle.
func (t *portTracker) next(found []procinfo.Listener, planned int, now time.Time) (seen portChange, changed bool) {
	open := map[int]bool{}
	for _, l := range found {
		open[l.Port] = true
	}
	switch {
	case planned != 0 && open[planned]:
		t.candidate = 0
		changed = t.port != planned
		t.port = planned
		return portChange{port: planned}, changed
	case t.port != 0 && open[t.port]:
		t.candidate = 0
		return portChange{}, false
	}
	best := choosePort(found)
	if best == 0 {
		t.candidate = 0
		changed = t.port != 0
		t.port = 0
		return portChange{}, changed
	}
	if t.candidate != best {
		t.candidate, t.since = best, now
	}
	if now.Sub(t.since) < settle {
		return portChange{}, false
	}
	t.candidate, t.port = 0, best
	return portChange{port: best, unplanned: true}, true
}

// choosePort picks the app's port among unplanned ones: no debugger's
// port, rather a fixed one than the kernel's choice, else the listeners' order.
func choosePort(found []procinfo.Listener) int {
	best, rank := 0, 3
	for _, l := range found {
		r := 0
		switch {
		case l.Port >= inspectorFirst && l.Port <= inspectorLast:
			r = 2
		case l.Port >= ephemeral:
			r = 1
		}
		if r < rank {
			best, rank = l.Port, r
		}
	}
	if rank == 2 {
		return 0 // a debugger alone is no app
	}
	return best
}
