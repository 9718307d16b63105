package dashboard

import (
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

// row shows one request in detail, of either plane.
func (d *Dashboard) row(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	app, err := d.cfg.AppLog.Find(id)
	if err == nil && app != nil {
		d.render(w, r, "app-detail", app)
		return
	}
	var row *reqlog.Row
	if err == nil {
		row, err = d.cfg.Log.Find(id)
	}
	if err == nil && row == nil {
		err = fault.New(fault.NotFound, "the log no longer has this request")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	d.render(w, r, "detail", row)
}

// parts renders everything except the requests.
func (d *Dashboard) parts(w http.ResponseWriter, r *http.Request) {
	now, err := d.look(r.Context())
	if err != nil {
		d.log.Error("the page cannot be rendered", "error", err)
		writeError(w, err)
		return
	}
	providers := health(now.status.Providers, now.last)
	addKeys(providers, now.keys)
	apps := viewApps(now.apps, d.cfg.Now())
	d.render(w, r, "parts", map[string]any{
		"Summary": newSummary(now.status, apps, now.days[len(now.days)-1].Total), "Spend": newChart(now.days), "Budgets": viewBudgets(now.budgets), "Apps": apps,
		"Providers": providers, "Aliases": now.aliases, "Findings": findings(now.status, apps, providers, d.cfg.Log.Dropped()+d.cfg.AppLog.Dropped()),
	})
}

// state is the data of the parts.
type state struct {
	status  control.Status
	apps    []App
	budgets []budget.Budget
	keys    []control.KeyInfo
	aliases []control.Alias
	days    []spend.Report
	last    []*reqlog.Row // of the last hour
}

// look reads the state, up to the first error.
func (d *Dashboard) look(ctx context.Context) (s state, err error) {
	if s.status, err = d.cfg.Sources.Status(ctx); err != nil {
		return s, err
	}
	if s.apps, err = d.cfg.Sources.Apps(ctx); err != nil {
		return s, err
	}
	if s.budgets, err = d.cfg.Sources.Budgets(ctx); err != nil {
		return s, err
	}
	if s.keys, err = d.cfg.Sources.Keys(ctx); err != nil {
		return s, err
	}
	if s.aliases, err = d.cfg.Sources.Aliases(ctx); err != nil {
		return s, err
	}
	if s.days, err = d.spending.days(); err != nil {
		return s, err
	}
	s.last, err = d.cfg.Log.Last(healthRows, reqlog.Filter{Since: d.cfg.Now().Add(-time.Hour)})
	return s, err
}

// summary is the line at the top.
type summary struct {
	Today     spend.Sum
	Tokens    int64
	CacheRate string
	Running   int // apps
	Apps      int
	Killed    bool
}

func newSummary(status control.Status, apps []appView, today spend.Sum) summary {
	s := summary{Killed: status.Killed, Today: today, Tokens: today.Tokens.Input + today.Tokens.Output, Apps: len(apps)}
	if today.Tokens.Cached > 0 && today.Tokens.Input > 0 {
		s.CacheRate = fmt.Sprintf("%d %%", today.Tokens.Cached*100/today.Tokens.Input)
	}
	for _, a := range apps {
		if a.Tone == "ok" {
			s.Running++
		}
	}
	return s
}

// budgetView is the view of a budget.
type budgetView struct {
	ID, Scope, Used, Limit, Period string
	Share                          float64 // used and reserved part of the limit; 1 is all
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

// appView is the view of an app.
type appView struct {
	App
	Path string // the path prefix of its route
	Word string // the state in words
	Tone string // colour of the state: ok, wait, bad or ""
	Up   string // start time
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
			v.Word = "starts with the next request"
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

// healthRows limits the number of requests that determine the health of providers.
const healthRows = 2000

// providerView is a provider with its health in the last hour.
type providerView struct {
	Name, Word, Tone string
	Requests, Failed int64
	FirstByte        *int64 // median in milliseconds
	LastError        string
	Keys             []keyView // set if there are several, or one that does not work
}

// keyView is the view of a stored key and its state.
type keyView struct{ Label, Hint, Word, Tone string }

// addKeys adds the stored keys to their providers.
func addKeys(providers []providerView, keys []control.KeyInfo) {
	for i := range providers {
		p := &providers[i]
		trouble := false
		for _, k := range keys {
			if k.Provider != p.Name {
				continue
			}
			v := keyView{Label: cmp.Or(k.Label, "no label"), Hint: k.Hint, Word: cmp.Or(k.Trouble(), "good"), Tone: "ok"}
			if k.Trouble() != "" {
				trouble, v.Tone = true, "bad"
			}
			if !k.Locked && k.StateStatus == http.StatusTooManyRequests {
				v.Tone = "wait"
			}
			p.Keys = append(p.Keys, v)
		}
		if len(p.Keys) == 1 && !trouble {
			p.Keys = nil
		}
	}
}

// health evaluates the attempts of the last hour. A request that fell back to another
// provider counts for both.
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
			v.Tone, v.Word = "wait", "fails sometimes"
		default:
			v.Tone, v.Word = "ok", "answers"
		}
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b providerView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// finding is a problem that the user should know of.
type finding struct{ Tone, Text, Fix string }

// findings returns the problems that the daemon can see by itself, a part of what doctor
// checks.
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
