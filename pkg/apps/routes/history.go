package routes

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/appname"
)

// maxPast bounds how many ended runs are remembered.
const maxPast = 64

// LastRun is how a run of a name ended.
type LastRun struct {
	Route
	At time.Time // zero where it is just ending
}

// LastRun gives how the last run of a name ended, or nil where none is known or
// the name has another route since.
func (t *Table) LastRun(name string) *LastRun {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.past[name]
}

// remember keeps how a run ended, for the pages. The caller holds t.mu.
func (t *Table) remember(rt Route) {
	t.past[rt.Name] = &LastRun{rt, t.cfg.Now()}
	if len(t.past) <= maxPast {
		return
	}
	oldest := rt.Name
	for name, run := range t.past {
		if run.At.Before(t.past[oldest].At) {
			oldest = name
		}
	}
	delete(t.past, oldest)
}

// StartTime is how long the last start of an app took, 0 where that is not known.
func (t *Table) StartTime(name string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.took[name]
}

// started notes how long an app took to listen.
func (t *Table) started(name string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) >= maxPorts {
		clear(t.took)
	}
	t.took[name] = took
}

// pastRuns are the ended runs as they are written, by name. The caller holds t.mu.
func (t *Table) pastRuns() (past []pastRun) {
	for _, run := range t.past {
		past = append(past, pastRun{Name: run.Name, Command: run.Command, Directory: run.Directory, Output: run.Output, Exit: run.Exit, At: run.At})
	}
	slices.SortFunc(past, func(a, b pastRun) int { return cmp.Compare(a.Name, b.Name) })
	return past
}

// recall takes up the ended runs that an earlier daemon has written.
func (t *Table) recall(past []pastRun) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, run := range past {
		name, err := appname.Check(run.Name)
		if err != nil || len(t.past) >= maxPast {
			continue
		}
		t.past[name] = &LastRun{Route{
			Name: name, Hostname: name + appname.Suffix, Kind: Leased, State: StateExited,
			Command: run.Command, Directory: run.Directory, Output: run.Output, Exit: run.Exit,
		}, run.At}
	}
}
