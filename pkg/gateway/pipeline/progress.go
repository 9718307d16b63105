package pipeline

import (
	"sync/atomic"
	"time"
)

// Progress counts the events of a call's response while it is being streamed. It is safe
// for concurrent use. A nil *Progress is valid and counts nothing.
type Progress struct {
	events atomic.Int64
	first  atomic.Int64 // Unix nanoseconds
}

// Event records one event of the provider's stream.
func (p *Progress) Event() {
	if p != nil && p.events.Add(1) == 1 {
		p.first.Store(time.Now().UnixNano())
	}
}

// Events returns the number of events so far and the time of the first one, which is zero
// if there was none.
func (p *Progress) Events() (n int64, first time.Time) {
	if p == nil {
		return 0, time.Time{}
	}
	if at := p.first.Load(); at != 0 {
		first = time.Unix(0, at)
	}
	return p.events.Load(), first
}
