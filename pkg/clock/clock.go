// Package clock is the time as a value, so that tests decide when it passes.
//
// Whoever waits or compares times takes a Clock; nil is the system's, through
// package time and without a further call. Deadlines of sockets stay with the
// kernel's time: what it enforces cannot be set from here.
package clock

import "time"

// Clock tells the time and wakes up. It is safe for concurrent use. A nil Clock,
// with the functions of this package, is the system's.
type Clock interface {
	// Now is the time.
	Now() time.Time
	// AfterFunc has f called in a goroutine of its own once d has passed.
	AfterFunc(d time.Duration, f func()) Timer
	// NewTimer gives a channel that gets the time once d has passed.
	NewTimer(d time.Duration) (<-chan time.Time, Timer)
}

// Timer is what *time.Timer can do: see there.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// Now is the time by c, by the system where c is nil.
func Now(c Clock) time.Time {
	if c == nil {
		return time.Now()
	}
	return c.Now()
}

// AfterFunc is c's, or time.AfterFunc where c is nil.
func AfterFunc(c Clock, d time.Duration, f func()) Timer {
	if c == nil {
		return time.AfterFunc(d, f)
	}
	return c.AfterFunc(d, f)
}

// NewTimer is c's, or time.NewTimer and its channel where c is nil.
func NewTimer(c Clock, d time.Duration) (<-chan time.Time, Timer) {
	if c == nil {
		timer := time.NewTimer(d)
		return timer.C, timer
	}
	return c.NewTimer(d)
}
