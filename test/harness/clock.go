package harness

import (
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/clock"
)

// Clock is a clock.Clock that only moves with Advance. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	timers  map[*clockTimer]struct{} // pending timers
	changed chan struct{}            // closed and replaced whenever a timer is set
}

var _ clock.Clock = (*Clock)(nil)

// NewClock returns a clock that shows the current time.
func NewClock() *Clock {
	return &Clock{now: time.Now(), timers: map[*clockTimer]struct{}{}, changed: make(chan struct{})}
}

type clockTimer struct {
	clock  *Clock
	length time.Duration // as passed when it was set
	due    time.Time
	fire   func(time.Time) // must not block
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc calls f in its own goroutine when Advance reaches d.
func (c *Clock) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &clockTimer{clock: c, fire: func(time.Time) { go f() }}
	t.Reset(d)
	return t
}

// NewTimer returns a channel that receives the time when Advance reaches d.
func (c *Clock) NewTimer(d time.Duration) (<-chan time.Time, clock.Timer) {
	ch := make(chan time.Time, 1)
	t := &clockTimer{clock: c, fire: func(now time.Time) {
		select {
		case ch <- now:
		default:
		}
	}}
	t.Reset(d)
	return ch, t
}

// Stop prevents the timer from firing and reports whether it was pending.
func (t *clockTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, waits := t.clock.timers[t]
	delete(t.clock.timers, t)
	return waits
}

// Reset sets the timer again and reports whether it was pending.
func (t *clockTimer) Reset(d time.Duration) bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waited := c.timers[t]
	if t.length, t.due = d, c.now.Add(d); d <= 0 {
		delete(c.timers, t)
		t.fire(c.now)
		return waited
	}
	c.timers[t] = struct{}{}
	close(c.changed)
	c.changed = make(chan struct{})
	return waited
}

// Advance moves the clock by d and fires every timer that is due.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for t := range c.timers {
		if !t.due.After(c.now) {
			delete(c.timers, t)
			t.fire(c.now)
		}
	}
}

// Await waits until a timer with duration d is pending. It fails t if there is none in
// time.
func (c *Clock) Await(t testing.TB, d time.Duration) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		for timer := range c.timers {
			if timer.length == d {
				c.mu.Unlock()
				return
			}
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("nothing waits for %v", d)
		}
	}
}
