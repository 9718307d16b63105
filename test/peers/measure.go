//go:build linux

package main

import "time"

// sample is one measurement of a proxy, or the medians of several.
type sample struct {
	rate     float64 // units per second
	p50, p99 float64 // milliseconds; 0 if the load does not measure them
	cpu      float64 // the proxy's CPU time per unit of work, in the load's unit
	ran      float64 // fraction of the time that the proxy was running
	wanted   float64 // … or was ready to run
	rss      float64 // MiB afterwards
	peak     float64 // peak in MiB
}

// meter reads a proxy's counters before and after a measurement.
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

// end returns the sample for the work since the start of the measurement. cpu is the unit
// for the CPU time per unit of work.
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
