package token

import "time"

// window is the period of a rate limit.
const window = time.Hour

// limiter counts requests in a sliding window, exactly: it stores the times of up to
// limit requests. It is not safe for concurrent use.
type limiter struct {
	limit int
	times []time.Time // ascending; those before head have left the window
	head  int
}

// room reports whether a request can be admitted now, or else the time until one can be.
func (l *limiter) room(now time.Time) (wait time.Duration, ok bool) {
	if l.limit <= 0 {
		return 0, true
	}
	l.forget(now)
	if len(l.times)-l.head >= l.limit {
		// limit may be lower than the number of stored times.
		free := l.times[len(l.times)-l.limit]
		return free.Add(window).Sub(now), false
	}
	return 0, true
}

// charge counts a request.
func (l *limiter) charge(now time.Time) {
	if l.limit > 0 {
		l.times = append(l.times, now)
	}
}

// forget removes the times that have left the window.
func (l *limiter) forget(now time.Time) {
	for l.head < len(l.times) && !l.times[l.head].Add(window).After(now) {
		l.head++
	}
	if l.head > 64 && l.head > len(l.times)/2 {
		l.times = append(l.times[:0], l.times[l.head:]...)
		l.head = 0
	}
}

// recent returns the times in the window as Unix milliseconds.
func (l *limiter) recent(now time.Time) []int64 {
	l.forget(now)
	var out []int64
	for _, t := range l.times[l.head:] {
		out = append(out, t.UnixMilli())
	}
	return out
}
