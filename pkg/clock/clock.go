// Package clock abstracts the time, so that tests control it.
//
// Code that waits or compares times takes a Clock. A nil Clock is the system's, used
// directly through package time. Socket deadlines are not covered: the kernel enforces
// them in real time.
package clock

import "time"

// Clock tells the time and starts timers. It is safe for concurrent use. The functions of
// this package accept a nil Clock, which is the system's.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// AfterFunc calls f in its own goroutine after d.
	AfterFunc(d time.Duration, f func()) Timer
	// NewTimer returns a channel that receives the time after d.
	NewTimer(d time.Duration) (<-chan time.Time, Timer)
}

// Timer has the methods of *time.Timer, with the same meaning.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// Now returns the time of c, or time.Now() if c is nil.
func Now(c Clock) time.Time {
	if c == nil {
		return time.Now()
	}
	return c.Now()
}

// AfterFunc calls c.AfterFunc, or time.AfterFunc if c is nil.
func AfterFunc(c Clock, d time.Duration, f func()) Timer {
	if c == nil {
		return time.AfterFunc(d, f)
	}
	return c.AfterFunc(d, f)
}

// NewTimer calls c.NewTimer, or time.NewTimer if c is nil.
func NewTimer(c Clock, d time.Duration) (<-chan time.Time, Timer) {
	if c == nil {
		timer := time.NewTimer(d)
		return timer.C, timer
	}
	return c.NewTimer(d)
}
