package daemon

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/dashboard"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/front"
	"github.com/hostless/hostless/pkg/guide"
	"github.com/hostless/hostless/pkg/inflight"
)

// openDashboard makes the page at hostless.localhost, with the sessions that a
// predecessor had.
func (d *daemon) openDashboard(log *slog.Logger, sessions json.RawMessage) (err error) {
	d.dashboard, err = dashboard.New(dashboard.Config{
		Log: d.requests, AppLog: d.appRequests, Sources: dashboardSources{d}, Guide: guide.Text, Logger: log,
		// Where the kernel does not report the owner of a connection, only the link protects the page.
		Owned: func(r *http.Request) bool {
			uid := front.PeerUID(r)
			return uid == d.uid || uid == front.UnknownUID
		},
		Run: func(r *http.Request) string {
			_, run := d.caller(r)
			return run
		},
	})
	if err == nil && sessions != nil {
		err = d.dashboard.Import(sessions)
	}
	return err
}

// dashboardLink returns a URL that opens the page once, and its lifetime.
func (d *daemon) dashboardLink() (url control.Secret, life time.Duration) {
	link, life := d.dashboard.NewLink()
	return control.NewSecret(d.address(dashboard.Host) + "/#" + link.Reveal()), life
}

// dashboardSources adapts the daemon to dashboard.Sources.
type dashboardSources struct{ *daemon }

// Status implements dashboard.Sources.
func (s dashboardSources) Status(ctx context.Context) (control.Status, error) {
	return controlDaemon(s).Status(ctx)
}

// InFlight implements dashboard.Sources.
func (s dashboardSources) InFlight() []inflight.Request { return s.flights.List() }

// Keys implements dashboard.Sources.
func (s dashboardSources) Keys(ctx context.Context) ([]control.KeyInfo, error) {
	return s.controlKeys().List(ctx)
}

// Aliases implements dashboard.Sources.
func (s dashboardSources) Aliases(ctx context.Context) ([]control.Alias, error) {
	return controlSettings{s.settings}.Aliases(ctx)
}

// Budgets implements dashboard.Sources.
func (s dashboardSources) Budgets(ctx context.Context) ([]budget.Budget, error) {
	list, err := s.budgets.List(ctx)
	if fault.Is(err, fault.Unconfigured) {
		return nil, nil // the status has a warning about it
	}
	return list, err
}

// Apps implements dashboard.Sources.
func (s dashboardSources) Apps(ctx context.Context) (apps []dashboard.App, err error) {
	s.routes.RefreshLines(ctx, "")
	for _, r := range s.routes.List() {
		a := dashboard.App{
			Name: r.Name, URL: s.appURL(r.Hostname) + r.PathPrefix, Target: r.Target.String(), State: r.State, Command: r.Command, Directory: r.Directory,
			Since: r.Since, Exit: r.Exit, Log: s.lastLines(r),
		}
		if r.PathPrefix != "" {
			a.Name += " " + r.PathPrefix
		}
		apps = append(apps, a)
	}
	return apps, nil
}
