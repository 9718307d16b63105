package daemon

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// apps is the reverse plane as the daemon runs it.
type apps interface {
	http.Handler
	routes() control.Routes
	count() int
	run(ctx context.Context) error
	close() error
}

func (d *daemon) openApps(log *slog.Logger) error {
	d.apps = noApps{}
	return nil
}

// noApps is an empty reverse plane.
type noApps struct{}

func (noApps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "no app is registered under "+r.Host, http.StatusNotFound)
}
func (noApps) routes() control.Routes    { return noApps{} }
func (noApps) count() int                { return 0 }
func (noApps) run(context.Context) error { return nil }
func (noApps) close() error              { return nil }

var errNoApps = fault.New(fault.Internal, "this daemon has no reverse plane")

func (noApps) List(context.Context) ([]control.Route, error) { return nil, nil }
func (noApps) Register(context.Context, control.RouteRequest) (control.Registered, error) {
	return control.Registered{}, errNoApps
}
func (noApps) Deregister(context.Context, control.RouteName) (control.Removed, error) {
	return control.Removed{}, fault.New(fault.NotFound, "no such route")
}
func (noApps) Lease(context.Context, control.RouteRequest) (control.RouteLease, error) {
	return nil, errNoApps
}
