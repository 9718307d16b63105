package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/spend"
)

const (
	shownDays = 30
	seriesMax = 5                // number of apps with their own colour
	freshFor  = 10 * time.Second // how long today's sums are cached
)

// spending adds up the request log by day and app. It reads past days only once. It is safe
// for concurrent use.
type spending struct {
	rows spend.Rows
	now  func() time.Time

	mu     sync.Mutex
	past   map[string]spend.Report // by date
	today  spend.Report
	ofDay  string
	readAt time.Time
}

// days returns the reports of the last days by app, today's last.
func (s *spending) days() ([]spend.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Local()
	year, month, day := now.Date()
	var out []spend.Report
	kept := map[string]spend.Report{}
	for ago := shownDays - 1; ago > 0; ago-- {
		from := time.Date(year, month, day-ago, 0, 0, 0, 0, time.Local)
		date := from.Format(time.DateOnly)
		report, known := s.past[date]
		if !known {
			var err error
			if report, err = s.read(from, time.Date(year, month, day-ago+1, 0, 0, 0, 0, time.Local)); err != nil {
				return nil, err
			}
		}
		// A request that started before midnight may have ended after it.
		if ago > 1 || now.Hour() >= 2 {
			kept[date] = report
		}
		out = append(out, report)
	}
	s.past = kept
	if date := now.Format(time.DateOnly); date != s.ofDay || now.Sub(s.readAt) >= freshFor {
		report, err := s.read(time.Date(year, month, day, 0, 0, 0, 0, time.Local), time.Time{})
		if err != nil {
			return nil, err
		}
		s.today, s.ofDay, s.readAt = report, date, now
	}
	return append(out, s.today), nil
}

func (s *spending) read(from, to time.Time) (spend.Report, error) {
	return spend.Of(s.rows, spend.Query{From: from, To: to, By: "app", Location: time.Local})
}

// chart is the spend of the last days, as bars.
type chart struct {
	Days        []chartDay // oldest first; nil without requests
	Table       []chartDay // the days with requests, newest first
	Apps        []chartApp
	First, Last string
	Top, Total  string
	Unpriced    string
}

type chartDay struct {
	Date     string
	X        int
	Cost     prices.Nano
	Requests int64
	Bars     []bar
}

// bar is a part of a day's column, in hundredths of the height.
type bar struct{ Series, X, Y, Height string }

type chartApp struct {
	Series, Name string
	Cost         prices.Nano
}

// newChart returns the chart of some days. The most expensive apps have their own colours;
// all others share the last one.
func newChart(days []spend.Report) chart {
	byApp := map[string]prices.Nano{}
	var total spend.Sum
	var top prices.Nano
	for _, d := range days {
		total.Requests += d.Total.Requests
		total.Unpriced += d.Total.Unpriced
		total.CostUSD += d.Total.CostUSD
		top = max(top, d.Total.CostUSD)
		for _, g := range d.Groups {
			byApp[g.Key] += g.CostUSD
		}
	}
	if total.Requests == 0 {
		return chart{}
	}
	apps, series := rank(byApp)
	c := chart{Apps: apps, Top: money(top), Total: money(total.CostUSD)}
	if total.Unpriced > 0 {
		c.Unpriced = grouped(total.Unpriced)
	}
	for i, d := range days {
		day := chartDay{Date: d.From.Format("Mon 2 Jan"), X: i, Cost: d.Total.CostUSD, Requests: d.Total.Requests}
		if top > 0 {
			day.Bars = stack(i, d.Groups, series, top)
		}
		c.Days = append(c.Days, day)
		if day.Requests > 0 {
			c.Table = append(c.Table, day)
		}
	}
	slices.Reverse(c.Table)
	c.First, c.Last = days[0].From.Format("2 Jan"), "today"
	return c
}

// rank returns the apps of the legend, and each app's colour.
func rank(byApp map[string]prices.Nano) (apps []chartApp, series map[string]int) {
	var names []string
	for name := range byApp {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(byApp[b], byApp[a]), cmp.Compare(a, b))
	})
	series = map[string]int{}
	var others prices.Nano
	for i, name := range names {
		series[name] = min(i, seriesMax)
		if i >= seriesMax {
			others += byApp[name]
			continue
		}
		apps = append(apps, chartApp{fmt.Sprint(i), cmp.Or(name, "no app"), byApp[name]})
	}
	if n := len(names) - seriesMax; n > 0 {
		apps = append(apps, chartApp{fmt.Sprint(seriesMax), fmt.Sprintf("%d others", n), others})
	}
	return apps, series
}

// stack returns the bars of a day, stacked in the order of their colours.
func stack(x int, groups []spend.Group, series map[string]int, top prices.Nano) (bars []bar) {
	var sums [seriesMax + 1]prices.Nano
	for _, g := range groups {
		sums[series[g.Key]] += g.CostUSD
	}
	y := 100.0
	for i, sum := range sums {
		if sum <= 0 {
			continue
		}
		height := max(0.6, float64(sum)/float64(top)*100)
		y -= height
		bars = append(bars, bar{fmt.Sprint(i), fmt.Sprintf("%.2f", float64(x)+0.12), fmt.Sprintf("%.2f", max(0, y)), fmt.Sprintf("%.2f", height)})
	}
	return bars
}
