package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

// writeLimit is how long a browser may take for what is written to it at once.
const writeLimit = 10 * time.Second

// rows streams the rows of the request log that pass the filters of the query, one
// line of HTML each: first the last ones, oldest first, and then each new one.
func (d *Dashboard) rows(w http.ResponseWriter, r *http.Request) {
	filter, n, err := reqlog.ParseQuery(r.URL.Query(), d.cfg.Now())
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	if r.Method == http.MethodHead || rc.Flush() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.closing, cancel)()
	err = d.cfg.Log.Follow(ctx, n, filter, func(row *reqlog.Row) error {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, "row", row); err != nil {
			return err
		}
		line := bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte(" "))
		rc.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer has deadlines
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
		return rc.Flush()
	})
	if err != nil {
		d.log.Debug("a reader of the live rows was let go", "error", err)
	}
}

// row shows one request in detail.
func (d *Dashboard) row(w http.ResponseWriter, r *http.Request) {
	row, err := d.cfg.Log.Find(r.PathValue("id"))
	if err == nil && row == nil {
		err = fault.New(fault.NotFound, "the log has no such request any more")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	d.render(w, r, "detail", row)
}

// parts shows all but the requests.
func (d *Dashboard) parts(w http.ResponseWriter, r *http.Request) {
	status, err := d.cfg.Sources.Status(r.Context())
	var apps []App
	if err == nil {
		apps, err = d.cfg.Sources.Apps(r.Context())
	}
	var budgets []budget.Budget
	if err == nil {
		budgets, err = d.cfg.Sources.Budgets(r.Context())
	}
	var days []spend.Report
	if err == nil {
		days, err = d.spending.days()
	}
	var last []*reqlog.Row
	if err == nil {
		last, err = d.cfg.Log.Last(healthRows, reqlog.Filter{Since: d.cfg.Now().Add(-time.Hour)})
	}
	if err != nil {
		d.log.Error("the page cannot be shown", "error", err)
		writeError(w, err)
		return
	}
	providers := health(status.Providers, last)
	shown := viewApps(apps, d.cfg.Now())
	d.render(w, r, "parts", map[string]any{
		"Summary": newSummary(status, shown, days[len(days)-1].Total, d.cfg.Sources.InFlight()), "Spend": newChart(days), "Budgets": viewBudgets(budgets), "Apps": shown,
		"Providers": providers, "Findings": findings(status, shown, providers, d.cfg.Log.Dropped()),
	})
}

// summary is the line above all.
type summary struct {
	Today     spend.Sum
	Tokens    int64
	CacheRate string
	InFlight  int
	Running   string
	Killed    bool
}

func newSummary(status control.Status, apps []appView, today spend.Sum, inFlight int) summary {
	s := summary{Killed: status.Killed, Today: today, Tokens: today.Tokens.Input + today.Tokens.Output, InFlight: inFlight}
	if today.Tokens.Cached > 0 && today.Tokens.Input > 0 {
		s.CacheRate = fmt.Sprintf("%d %%", today.Tokens.Cached*100/today.Tokens.Input)
	}
	running := 0
	for _, a := range apps {
		if a.Tone == "ok" {
			running++
		}
	}
	s.Running = fmt.Sprintf("%d of %d apps", running, len(apps))
	return s
}

// budgetView is a budget as the page shows it.
type budgetView struct {
	ID, Scope, Used, Limit, Period string
	Share                          float64 // of the limit that is used or reserved, 1 is all
	ResetsAt                       time.Time
}

func viewBudgets(list []budget.Budget) (out []budgetView) {
	for _, b := range list {
		v := budgetView{ID: b.ID, Scope: b.Scope.String(), Used: b.Used.String(), Limit: b.Limit.String(), Period: b.Period, ResetsAt: b.ResetsAt, Share: 1}
		if b.Limit.USD {
			v.Used, v.Limit = money(prices.Nano(b.Used.N)), money(prices.Nano(b.Limit.N))
		} else {
			v.Used, v.Limit = grouped(b.Used.N), grouped(b.Limit.N)+" "+b.Unit
		}
		if b.Limit.N > 0 {
			v.Share = min(1, float64(b.Used.N+b.Reserved.N)/float64(b.Limit.N))
		}
		out = append(out, v)
	}
	return out
}

// appView is an app as the page shows it.
type appView struct {
	App
	Path string // the prefix that it serves
	Word string // its state
	Tone string // of the state: ok, wait, bad or ""
	Up   string // since when
}

func viewApps(apps []App, now time.Time) (out []appView) {
	for _, a := range apps {
		v := appView{App: a, Word: a.State}
		switch a.State {
		case control.StateListening:
			v.Tone = "ok"
		case control.StateStarting:
			v.Tone = "wait"
		case control.StateIdle:
			v.Word = "starts when it is asked for"
		case control.StateExited:
			v.Tone = "bad"
			if a.Exit != nil {
				v.Word = fmt.Sprintf("ended with exit code %d", *a.Exit)
				if *a.Exit == 0 {
					v.Tone = ""
				}
			}
		default:
			v.Tone, v.Word = "ok", "alias"
		}
		if !a.Since.IsZero() {
			v.Up = a.Since.Local().Format("2 Jan, 15:04")
			if now.Sub(a.Since) < 20*time.Hour {
				v.Up = a.Since.Local().Format("15:04")
			}
		}
		out = append(out, v)
	}
	return out
}

// healthRows bounds what a provider's health is judged by.
const healthRows = 2000

// providerView is a provider and how it did in the last hour.
type providerView struct {
	Name, Word, Tone string
	Requests, Failed int64
	FirstByte        *int64 // the median, in milliseconds
	LastError        string
}

// health looks at the attempts of the last hour: a request that another provider
// answered counts with both.
func health(configured []control.ProviderStatus, rows []*reqlog.Row) []providerView {
	byName := map[string]*providerView{}
	firstBytes := map[string][]int64{}
	lastFailed := map[string]bool{}
	view := func(name string) *providerView {
		if byName[name] == nil {
			byName[name] = &providerView{Name: name}
		}
		return byName[name]
	}
	for _, row := range rows {
		for _, a := range row.Attempts {
			v := view(a.Provider)
			v.Requests++
			lastFailed[a.Provider] = strings.HasPrefix(string(a.ErrorKind), "provider_")
			if lastFailed[a.Provider] {
				v.Failed++
				v.LastError = string(a.ErrorKind) + " at " + clock(row.Time)
			}
		}
		if row.FirstByteMS != nil && row.Provider != "" && row.ErrorKind == "" {
			firstBytes[row.Provider] = append(firstBytes[row.Provider], *row.FirstByteMS)
		}
	}
	for _, p := range configured {
		v := view(p.Provider)
		v.Word = "no requests"
		if p.Locked {
			v.Tone, v.Word = "bad", "its key is locked"
		}
	}
	out := []providerView{}
	for name, v := range byName {
		if times := firstBytes[name]; len(times) > 0 {
			slices.Sort(times)
			v.FirstByte = &times[len(times)/2]
		}
		switch {
		case v.Tone == "bad" || v.Requests == 0:
		case lastFailed[name]:
			v.Tone, v.Word = "bad", "fails"
		case v.Failed*10 >= v.Requests:
			v.Tone, v.Word = "wait", "fails at times"
		default:
			v.Tone, v.Word = "ok", "answers"
		}
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b providerView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// finding is something that a person should know.
type finding struct{ Tone, Text, Fix string }

// findings are what the daemon itself can see of what doctor looks at.
func findings(status control.Status, apps []appView, providers []providerView, dropped int64) (out []finding) {
	for _, warning := range status.Warnings {
		out = append(out, finding{"wait", warning, ""})
	}
	for _, p := range status.Providers {
		if p.Locked {
			out = append(out, finding{"bad", "The key of " + p.Provider + " is locked.", "hostless unlock"})
		}
	}
	for _, p := range providers {
		if p.Word == "fails" {
			out = append(out, finding{"bad", "The last request to " + p.Name + " failed: " + p.LastError + ".", "hostless keys test " + p.Name})
		}
	}
	for _, a := range apps {
		if a.Tone == "bad" {
			out = append(out, finding{"bad", a.Name + " has " + a.Word + ".", "hostless restart " + a.Name})
		}
	}
	if status.DevMode {
		out = append(out, finding{"wait", "Dev mode is on: your own programs need no token.", ""})
	}
	if dropped > 0 {
		out = append(out, finding{"bad", fmt.Sprintf("%d requests could not be written to the log.", dropped), "hostless logs"})
	}
	return out
}
