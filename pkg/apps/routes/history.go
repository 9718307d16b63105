package routes

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/appname"
)

// maxPast limits how many ended runs are remembered.
const maxPast = 64

// LastRun says how the last run of a name ended.
type LastRun struct {
	Route
	At time.Time // zero if it is just ending
}

// LastRun returns how the last run of a name ended, or nil if that is unknown or the name
// has had another route since.
func (t *Table) LastRun(name string) *LastRun {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.past[name]
}

// remember records how a run ended, for the error pages. t.mu must be held.
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

// StartTime returns how long the last start of an app took, 0 if unknown.
func (t *Table) StartTime(name string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.took[name]
}

// started records how long an app took until it listened.
func (t *Table) started(name string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) >= maxPorts {
		clear(t.took)
	}
	t.took[name] = took
}

// pastRuns returns the ended runs as they are stored, by name. t.mu must be held.
func (t *Table) pastRuns() (past []pastRun) {
	for _, run := range t.past {
		past = append(past, pastRun{Name: run.Name, Command: run.Command, Directory: run.Directory, Output: run.Output, Exit: run.Exit, At: run.At})
	}
	slices.SortFunc(past, func(a, b pastRun) int { return cmp.Compare(a.Name, b.Name) })
	return past
}

// recall loads the ended runs that an earlier daemon has stored.
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
