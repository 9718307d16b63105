package routes

import "time"

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
