package harness

import (
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/clock"
)

// Clock is a clock.Clock that stands still until Advance. It is safe for
// concurrent use.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	timers  map[*clockTimer]struct{} // those that wait
	changed chan struct{}            // closed, and made anew, with each that is set
}

var _ clock.Clock = (*Clock)(nil)

// NewClock gives a clock that stands at the present.
func NewClock() *Clock {
	return &Clock{now: time.Now(), timers: map[*clockTimer]struct{}{}, changed: make(chan struct{})}
}

type clockTimer struct {
	clock  *Clock
	length time.Duration // as it was set
	due    time.Time
	fire   func(time.Time) // does not block
}

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc has f called in a goroutine of its own by the Advance that reaches d.
func (c *Clock) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &clockTimer{clock: c, fire: func(time.Time) { go f() }}
	t.Reset(d)
	return t
}

// NewTimer gives a channel that gets the time by the Advance that reaches d.
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

// Stop keeps the timer from firing and reports whether it would have.
func (t *clockTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, waits := t.clock.timers[t]
	delete(t.clock.timers, t)
	return waits
}

// Reset sets the timer anew and reports whether it waited.
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

// Advance has d pass: every timer that is due by then fires.
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

// Await waits until a timer that was set to d waits; it fails t where none comes.
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
