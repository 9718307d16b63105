package token

import "time"

// window is how far back a rate limit looks.
const window = time.Hour

// limiter counts requests in a sliding hour, exactly: it remembers the time of
// each, at most limit of them. It is not safe for concurrent use.
type limiter struct {
	limit int
	times []time.Time // ascending; those before head are forgotten
	head  int
}

// room reports whether a request can be admitted, or after how long one can.
func (l *limiter) room(now time.Time) (wait time.Duration, ok bool) {
	if l.limit <= 0 {
		return 0, true
	}
	l.forget(now)
	if len(l.times)-l.head >= l.limit {
		// limit may have been lowered below what is remembered.
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

// forget drops what the window has left behind.
func (l *limiter) forget(now time.Time) {
	for l.head < len(l.times) && !l.times[l.head].Add(window).After(now) {
		l.head++
	}
	if l.head > 64 && l.head > len(l.times)/2 {
		l.times = append(l.times[:0], l.times[l.head:]...)
		l.head = 0
	}
}

// recent tells the requests that still count, as Unix milliseconds.
func (l *limiter) recent(now time.Time) []int64 {
	l.forget(now)
	var out []int64
	for _, t := range l.times[l.head:] {
		out = append(out, t.UnixMilli())
	}
	return out
}
