package launch

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/procinfo"
)

// TestPortTracker checks which of the ports that a tree opens is taken for the app's.
func TestPortTracker(t *testing.T) {
	type look struct {
		at    time.Duration
		ports []int
	}
	const late = 20 * time.Second
	for _, tt := range []struct {
		name    string
		looks   []look
		given   map[int]int // PORT by pid; a listener's pid is its port
		answers map[int]int
		want    int
		others  []int
	}{
		{name: "the planned one", looks: []look{{0, []int{4100}}}, want: 4100},
		{name: "a fixed one settles", looks: []look{{0, []int{3000}}, {100 * time.Millisecond, []int{3000}}}},
		{name: "a fixed one", looks: []look{{0, []int{3000}}, {time.Second, []int{3000}}}, want: 3000},
		{name: "a debugger is no app", looks: []look{{0, []int{9229}}, {late, []int{9229}}}},
		{name: "a helper comes last", looks: []look{{0, []int{9464}}, {3 * time.Second, []int{9464, 3111}}, {4 * time.Second, []int{9464, 3111}}}, want: 3111},
		{name: "a helper alone, in the end", looks: []look{{0, []int{9464}}, {late, []int{9464}}}, want: 9464},
		{name: "the app after its helper was taken", looks: []look{{0, []int{9464}}, {late, []int{9464}}, {late + 1, []int{9464, 3111}}, {late + time.Second, []int{9464, 3111}}}, want: 3111},
		{name: "hot reloading", looks: []look{{0, []int{24678, 5173}}, {time.Second, []int{24678, 5173}}}, want: 5173},
		{name: "a fixed one before the kernel's choice", looks: []look{{0, []int{3000, 40000}}, {time.Second, []int{3000, 40000}}}, want: 3000},
		{name: "PORT and an offset", looks: []look{{0, []int{3036, 4200}}, {time.Second, []int{3036, 4200}}}, want: 4200, others: []int{3036}},
		{name: "the process's own PORT", looks: []look{{0, []int{3036, 4155}}, {time.Second, []int{3036, 4155}}}, given: map[int]int{4155: 4155, 3036: 4100}, want: 4155, others: []int{3036}},
		{name: "a page before data", looks: []look{{0, []int{3001, 5173}}, {time.Second, []int{3001, 5173}}}, answers: map[int]int{3001: answersHTTP, 5173: answersHTML}, want: 5173, others: []int{3001}},
		{name: "a page that comes later", looks: []look{{0, []int{3001}}, {time.Second, []int{3001}}, {2 * time.Second, []int{3001, 5173}}, {3 * time.Second, []int{3001, 5173}}}, answers: map[int]int{3001: answersNothing, 5173: answersHTML}, want: 5173, others: []int{3001}},
		{name: "the first of two alike", looks: []look{{0, []int{3001}}, {time.Second, []int{3001}}, {2 * time.Second, []int{3000, 3001}}, {3 * time.Second, []int{3000, 3001}}}, want: 3001},
	} {
		tr := portTracker{ranker: ranker{planned: 4100, portOf: func(pid int) int { return tt.given[pid] }, answers: func(port int) int { return tt.answers[port] }}}
		got := portChange{}
		for _, look := range tt.looks {
			var found []procinfo.Listener
			for _, port := range look.ports {
				found = append(found, procinfo.Listener{Port: port, PID: port, Depth: 1})
			}
			if seen, changed := tr.next(found, 4100, time.Time{}.Add(look.at)); changed {
				got = seen
			}
		}
		if got.port != tt.want || !slices.Equal(got.others, tt.others) {
			t.Errorf("%s: port %d, others %v; want %d, %v", tt.name, got.port, got.others, tt.want, tt.others)
		}
	}
}

// TestOutsideListener checks that a container's port counts although no process of the
// tree has it.
func TestOutsideListener(t *testing.T) {
	for _, before := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			changes := make(chan portChange, 1)
			w := watcher{
				tree:    func() []procinfo.Process { return nil },
				look:    func([]procinfo.Process) []procinfo.Listener { return nil },
				mark:    func() string { return time.Now().String() },
				outside: func(int) bool { calls++; return before || calls > 2 },
				ranker:  ranker{planned: 4100},
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go w.run(ctx, func(c portChange) { changes <- c })
			time.Sleep(time.Minute)
			synctest.Wait()
			select {
			case c := <-changes:
				if before || c.port != 4100 || c.unplanned {
					t.Errorf("open before %v: %+v", before, c)
				}
			default:
				if !before {
					t.Error("the port is not seen")
				}
			}
		})
	}
}

// TestUnplannedPortSettles checks that the watcher takes a port other than the planned one
// for the app's only after it has been open for a while.
func TestUnplannedPortSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan portChange, 1)
		w := watcher{
			tree: func() []procinfo.Process { return nil },
			look: func([]procinfo.Process) []procinfo.Listener {
				return []procinfo.Listener{{Port: 3000, PID: 1, Depth: 1}}
			},
			mark:   func() string { return "same" },
			ranker: ranker{planned: 4100},
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		started := time.Now()
		go w.run(ctx, func(c portChange) { changes <- c })
		c := <-changes
		if took := time.Since(started); c.port != 3000 || !c.unplanned || took < settle || took > 2*settle {
			t.Errorf("after %v: %+v", took, c)
		}
	})
}
