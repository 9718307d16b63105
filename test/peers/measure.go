//go:build linux

package main

import "time"

// sample is one measurement of one proxy, or the medians of several.
type sample struct {
	rate     float64 // units a second
	p50, p99 float64 // milliseconds; 0 where a load tells none
	cpu      float64 // the proxy's CPU for a unit, in the load's own measure
	ran      float64 // part of the time that the proxy was on its core
	wanted   float64 // … or waited for it
	rss      float64 // MiB afterwards
	peak     float64 // MiB at most
}

// meter reads a proxy before a measurement and after.
type meter struct {
	p           *proxy
	ran, waited time.Duration
	started     time.Time
}

func begin(p *proxy) meter {
	p.forgetPeak()
	ran, waited := p.time()
	return meter{p, ran, waited, time.Now()}
}

// end makes a sample of what was done meanwhile; cpu is what the proxy's CPU for one
// unit of it is given in.
func (m meter) end(out outcome, cpu time.Duration) (s sample) {
	took := time.Since(m.started)
	ran, waited := m.p.time()
	ran, waited = ran-m.ran, waited-m.waited
	s.rate = float64(out.Count) / out.Took.Seconds()
	s.p50, s.p99 = out.P50.Seconds()*1000, out.P99.Seconds()*1000
	s.cpu = float64(ran) / float64(cpu) / float64(out.Count)
	s.ran = ran.Seconds() / took.Seconds()
	s.wanted = min(1, (ran+waited).Seconds()/took.Seconds())
	s.rss, s.peak = m.p.memory()
	return s
}
