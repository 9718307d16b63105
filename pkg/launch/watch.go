package launch

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/procinfo"
)

const (
	watchFirst  = 20 * time.Millisecond  // between polls while the app starts
	watchSlow   = 250 * time.Millisecond // when that takes long
	watchSteady = time.Second            // once it listens
	watchAnyway = 2 * time.Second        // even if the kernel's tables are unchanged, while nothing listens
	// settle is how long a port other than the planned one must be open before it is taken
	// for the app's, since build tools open helper ports first.
	settle = 600 * time.Millisecond

	// settleHelper is the same for a port that tools are known to open in addition to the
	// app's. It is taken for the app's only if no other port is opened.
	settleHelper = 5 * time.Second

	inspectorFirst, inspectorLast = 9229, 9239 // node --inspect
	ephemeral                     = 32768      // the kernel assigns ports from here
)

// helperPorts are ports that tools open in addition to the app's: Prometheus exporters, hot
// reloading of Vite and Nuxt, OpenTelemetry, LiveReload, Prisma Studio, and the pages of
// Storybook and Drizzle.
var helperPorts = []int{9464, 24678, 4317, 4318, 35729, 5555, 4983}

// portChange is a change of the ports on which the tree listens.
type portChange struct {
	port      int // the app's port, 0 if it no longer listens
	unplanned bool
	others    []int // other ports that could be the app's
}

// watcher watches which port the tree opens.
type watcher struct {
	tree func() []procinfo.Process
	look func([]procinfo.Process) []procinfo.Listener // procinfo.Listeners
	mark func() string                                // procinfo.ListenMark
	// outside reports whether any process listens on a port (procinfo.Listening), even one
	// in a container or another session. nil checks only the tree.
	outside func(port int) bool
	ranker
}

// ranker orders ports.
type ranker struct {
	planned int
	portOf  func(pid int) int  // PORT in a process's environment, 0 for none; may be nil
	answers func(port int) int // how a port answers HTTP: answersHTML, answersHTTP or answersNothing; may be nil
}

// How a port answers an HTTP request.
const (
	answersHTML = iota
	answersHTTP
	answersNothing
)

// run polls until ctx ends and reports each change. It is cheap: the tree's descriptors
// are read only after a listening socket was opened or closed.
func (w watcher) run(ctx context.Context, report func(portChange)) {
	t := portTracker{ranker: w.ranker}
	before := w.outside != nil && w.planned != 0 && w.outside(w.planned) // of another program
	mark, wait := "", watchFirst
	var looked time.Time
	for {
		if m := w.mark(); m != mark || t.candidate != 0 || t.port == 0 && time.Since(looked) > watchAnyway {
			mark, looked = m, time.Now()
			found := w.look(w.tree())
			if w.outside != nil && w.planned != 0 && !before && w.outside(w.planned) && !slices.ContainsFunc(found, func(l procinfo.Listener) bool { return l.Port == w.planned }) {
				found = append(found, procinfo.Listener{Port: w.planned})
			}
			if seen, changed := t.next(found, w.planned, time.Now()); changed {
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

// portTracker is the part of the watcher without I/O. It derives changes from polls.
type portTracker struct {
	ranker
	port      int       // the app's port as last reported
	candidate int       // a port that must be open for a while first
	since     time.Time // when the candidate was first seen
}

// next evaluates one poll. The planned port always wins, at once. Otherwise the current
// port is kept while it is open, unless a likelier one is opened. Every port but the
// planned one must have been open for a while.
func (t *portTracker) next(found []procinfo.Listener, planned int, now time.Time) (seen portChange, changed bool) {
	open := map[int]bool{}
	for _, l := range found {
		open[l.Port] = true
	}
	if planned != 0 && open[planned] {
		t.candidate = 0
		changed = t.port != planned
		t.port = planned
		return portChange{port: planned}, changed
	}
	best, helper := t.choose(found)
	if t.port != 0 && open[t.port] && (best == 0 || best == t.port) {
		t.candidate = 0
		return portChange{}, false
	}
	if best == 0 {
		t.candidate = 0
		changed = t.port != 0
		t.port = 0
		return portChange{}, changed
	}
	if t.candidate != best {
		t.candidate, t.since = best, now
	}
	limit := settle
	if helper {
		limit = settleHelper
	}
	if now.Sub(t.since) < limit {
		return portChange{}, false
	}
	t.candidate, t.port = 0, best
	return portChange{port: best, unplanned: true, others: t.alternatives(found, best)}, true
}

// The ranks of a port that was not planned, the likeliest first.
const (
	rankOwn       = iota // it is PORT in the environment of its process
	rankOffset           // PORT plus a multiple of 100, as foreman and overmind assign
	rankFixed            // any other below ephemeral
	rankEphemeral        // probably assigned by the kernel
	rankHelper           // in helperPorts
	rankDebugger         // never the app's
)

func (r ranker) rank(l procinfo.Listener) int {
	offset := l.Port - r.planned
	switch {
	case l.Port >= inspectorFirst && l.Port <= inspectorLast:
		return rankDebugger
	case r.portOf != nil && r.portOf(l.PID) == l.Port:
		return rankOwn
	case r.planned > 0 && offset > 0 && offset <= 1000 && offset%100 == 0:
		return rankOffset
	case slices.Contains(helperPorts, l.Port):
		return rankHelper
	case l.Port >= ephemeral:
		return rankEphemeral
	}
	return rankFixed
}

// choose returns the likeliest app port among unplanned ones: by rank, then by how it
// answers, then the current one, then in the listeners' order. It returns 0 for none.
// helper means that only a tool's port is open.
func (t *portTracker) choose(found []procinfo.Listener) (best int, helper bool) {
	rank := rankDebugger
	var equal []int
	for _, l := range found {
		switch r := t.rank(l); {
		case r < rank:
			rank, equal = r, []int{l.Port}
		case r == rank && r != rankDebugger:
			equal = append(equal, l.Port)
		}
	}
	if len(equal) == 0 {
		return 0, false // only a debugger listens
	}
	if slices.Contains(equal, t.port) { // the current one comes first
		equal = append([]int{t.port}, slices.DeleteFunc(equal, func(p int) bool { return p == t.port })...)
	}
	best = equal[0]
	if len(equal) > 1 && t.answers != nil {
		least := answersNothing + 1
		for _, port := range equal {
			if a := t.answers(port); a < least {
				best, least = port, a
			}
		}
	}
	return best, rank == rankHelper
}

// alternatives returns other ports that could be the app's.
func (r ranker) alternatives(found []procinfo.Listener, taken int) (ports []int) {
	for _, l := range found {
		if l.Port != taken && r.rank(l) <= rankFixed {
			ports = append(ports, l.Port)
		}
	}
	return ports
}

// answersOf returns a function that requests the root page of a port of this machine. It
// caches the result, but asks again if the port did not answer in time.
func answersOf() func(port int) int {
	known := map[int]int{}
	client := &http.Client{
		Timeout:       400 * time.Millisecond,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(port int) int {
		if a, ok := known[port]; ok {
			return a
		}
		req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+"/", nil)
		if err != nil {
			return answersNothing
		}
		req.Header.Set("Accept", "text/html")
		resp, err := client.Do(req)
		if err != nil {
			return answersNothing
		}
		resp.Body.Close()
		known[port] = answersHTTP
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			known[port] = answersHTML
		}
		return known[port]
	}
}

// givenPort returns PORT in a process's environment.
func givenPort(pid int) int {
	n, _ := strconv.Atoi(procinfo.Variable(pid, "PORT"))
	return n
}
