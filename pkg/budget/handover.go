package budget

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// While a daemon hands over to its successor, both accept requests for a time and
// write to the same request log. Each reads the other's rows from it (Follow), and
// tells the other the reserves of its calls: the predecessor all of them when it
// hands over, and both each new one (Export, OnHold, Import). Only the successor
// changes budgets; it passes them on to its predecessors (OnChange, Adopt).
//
// A message takes less than a millisecond. Only calls that are admitted within that time
// by both can exceed a budget together, by one estimate for each daemon. A reserve that the
// other daemon releases without a row, since the call failed early, stays here until Forget:
// a predecessor may refuse more than it must.

// Held is the reserve of a call in flight, for another process.
type Held struct {
	ID   string   `json:"id"`
	More []string `json:"more,omitempty"` // further providers that the call may go to
	key
	counts
}

// Export returns the reserves of the calls in flight.
func (r *Room) Export() []Held {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Held, 0, len(r.calls))
	for id, h := range r.calls {
		out = append(out, Held{id, h.more, h.key, h.counts})
	}
	return out
}

// OnHold makes fn be called with the reserve of each call that is admitted from now
// on. fn is called with the room locked, and must return at once.
func (r *Room) OnHold(fn func(Held)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onHold = fn
}

// Import adds the reserves of another process's calls. They last until the calls'
// rows are in the log, or until Forget.
func (r *Room) Import(all ...Held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range all {
		if r.calls[one.ID] != nil || r.seen[one.ID] || r.own != "" && strings.HasPrefix(one.ID, r.own) {
			continue // it is known, has a row already, or is a call of this process
		}
		h := &held{key: one.key, more: one.More, counts: one.counts, foreign: true}
		r.calls[one.ID] = h
		r.reserve(h, 1)
	}
}

// Forget releases the reserves of other processes' calls, because those processes
// have ended.
func (r *Room) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, h := range r.calls {
		if h.foreign {
			r.release(id)
		}
	}
	r.seen = nil
}

// followEvery is how often the log is read for rows of other processes.
const followEvery = 200 * time.Millisecond

// Follow reads other processes' rows from the log until ctx ends, and then once
// more.
func (r *Room) Follow(ctx context.Context) {
	if r.await(ctx) == nil {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				r.Sync()
			}
		}
	}
	<-r.ready
	r.Sync()
}

// OnChange makes fn be called with the budgets, in the form that Adopt takes,
// whenever they change.
func (r *Room) OnChange(fn func(data []byte)) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.onChange = fn
}

// Adopt applies the budgets that another process has set, in memory only.
func (r *Room) Adopt(data []byte) error {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	if err := r.use(s); err != nil {
		return err
	}
	r.bad.Store(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake()
	return nil
}
