package pipeline

import (
	"sync/atomic"
	"time"
)

// Progress is how far the answer of a call has come. It is safe for concurrent use, and
// nil for a call whose answer is not watched.
type Progress struct {
	events atomic.Int64
	first  atomic.Int64 // Unix nanoseconds
}

// Event notes one event of the provider's stream.
func (p *Progress) Event() {
	if p != nil && p.events.Add(1) == 1 {
		p.first.Store(time.Now().UnixNano())
	}
}

// Events gives how many events of the stream came, and when the first one did; a zero
// time where none has.
func (p *Progress) Events() (n int64, first time.Time) {
	if p == nil {
		return 0, time.Time{}
	}
	if at := p.first.Load(); at != 0 {
		first = time.Unix(0, at)
	}
	return p.events.Load(), first
}
