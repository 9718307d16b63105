package budget

import (
	"context"
	"encoding/json"
	"time"
)

// While a daemon hands over to its successor both take requests for a time, and write to
// one request log. Each reads the other's rows from it (Follow). What a predecessor's
// calls in flight hold it passes on when it hands over, and then with each call that it
// still takes (Export, OnHold, Import); the successor, which alone changes budgets, passes
// those on to its predecessors (OnChange, Adopt).

// Held is what a call in flight holds in reserve, for another process.
type Held struct {
	ID   string   `json:"id"`
	More []string `json:"more,omitempty"` // further providers that it may go to
	key
	counts
}

// Export returns what the calls in flight hold.
func (r *Room) Export() []Held {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Held, 0, len(r.calls))
	for id, h := range r.calls {
		out = append(out, Held{id, h.more, h.key, h.counts})
	}
	return out
}

// OnHold has fn called with what each call holds that is let in from now on. It is called
// with the room locked, and must return at once.
func (r *Room) OnHold(fn func(Held)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onHold = fn
}

// Import holds what another process's calls hold, until their rows are in the log, or
// Forget.
func (r *Room) Import(all ...Held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range all {
		if r.calls[one.ID] != nil || r.seen[one.ID] {
			continue
		}
		h := &held{key: one.key, more: one.More, counts: one.counts, foreign: true}
		r.calls[one.ID] = h
		r.reserve(h, 1)
	}
}

// Forget takes back what other processes' calls hold: those have ended.
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

// followEvery is how often the log is read for the rows of another process.
const followEvery = 200 * time.Millisecond

// Follow reads other processes' rows from the log until ctx ends, and then once more.
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

// OnChange has fn called with the budgets whenever they are changed, as Adopt takes them.
func (r *Room) OnChange(fn func(data []byte)) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.onChange = fn
}

// Adopt has the budgets hold that another process has set, in memory alone.
func (r *Room) Adopt(data []byte) error {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	budgets, err := made(s.Budgets)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(budgets, s.Next)
	r.wake()
	return nil
}
