package approval

import "time"

const (
	maxPerMinute = 10
	maxOrigins   = 1024 // origins counted at the same time
)

// rates holds the times of the last minute's requests by origin.
type rates map[string][]time.Time

// charge counts a request of an origin. If the limit is reached, it returns the time
// until the next one is allowed.
func (r rates) charge(origin string, now time.Time) (wait time.Duration) {
	times := r[origin]
	for len(times) > 0 && now.Sub(times[0]) >= time.Minute {
		times = times[1:]
	}
	if len(times) >= maxPerMinute {
		r[origin] = times
		return times[0].Add(time.Minute).Sub(now)
	}
	if _, known := r[origin]; !known && len(r) >= maxOrigins {
		return time.Minute
	}
	r[origin] = append(times, now)
	return 0
}

// prune removes origins without a request in the last minute.
func (r rates) prune(now time.Time) {
	for origin, times := range r {
		if len(times) == 0 || now.Sub(times[len(times)-1]) >= time.Minute {
			delete(r, origin)
		}
	}
}
