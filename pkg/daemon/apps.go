package daemon

import (
	"context"
	"log/slog"
	"os"

	"github.com/hostless/hostless/pkg/apps/proxy"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// openApps creates the apps plane. returning are the hostnames of runs whose clients will
// register again.
func (d *daemon) openApps(log *slog.Logger, returning []string) error {
	table, found, err := routes.New(routes.Config{
		Path: d.cfg.Paths.Routes(), Logger: log, Returning: returning, Changed: d.routesChanged,
		Wildcards: func() bool { return d.wildcards || d.settings.WildcardRoutes() },
		Dropped: func(r routes.Route) {
			if err := d.tokens.RevokeBound(context.Background(), r.Hostname, secret.String{}); err != nil {
				log.Error("tokens of a dropped route cannot be revoked", "host", r.Hostname, "error", err)
			}
		},
	})
	d.warnings.set("apps", found)
	d.routes = table
	if err != nil {
		return err
	}
	if d.apps, err = proxy.New(proxy.Config{Table: table, URL: d.appURL, Domains: d.settings.Domains, TrustedProxies: d.settings.TrustedProxies,
		Observe: d.noteApp, Logger: log,
	}); err != nil {
		return err
	}
	return d.revokeUnbound()
}

// revokeUnbound revokes the tokens of routes that were removed while no daemon was running.
func (d *daemon) revokeUnbound() error {
	hosts := map[string]bool{}
	for _, r := range d.routes.List() {
		hosts[r.Hostname] = true
	}
	return d.tokens.RevokeUnbound(context.Background(), func(hostname string) bool { return hosts[hostname] })
}

// wildcardsAsked reports whether the environment turns on wildcard routes.
func wildcardsAsked(getenv func(string) string) bool {
	return getenv("HOSTLESS_ENABLE_WILDCARD_ROUTES") == "1"
}

// appURL returns an app's URL for users.
func (d *daemon) appURL(hostname string) string {
	return d.address(d.settings.Domains().Shown(hostname))
}

// appHosts returns all host names of an app.
func (d *daemon) appHosts(hostname string) []string { return d.settings.Domains().All(hostname) }

// controlRoutes adapts the route table to control.Routes.
type controlRoutes struct {
	table  *routes.Table
	url    func(hostname string) string
	hosts  func(hostname string) []string // every host name of an app
	redact func(string) string            // for texts of clients that pages show
}

func (c controlRoutes) registration(req control.RouteRequest) routes.Registration {
	return routes.Registration{
		Name: req.Name, Target: req.Target, Port: req.Port, PID: req.PID, Reserve: req.Reserve, Force: req.Force, KeepHost: req.KeepHost,
		Insecure: req.Insecure, Wildcard: req.Wildcard, PathPrefix: req.PathPrefix, Alias: req.Alias, Lazy: req.Lazy,
		Command: c.redact(req.Command), Directory: req.Directory, Output: req.Output,
	}
}

func (c controlRoutes) registered(r routes.Route, lease string) control.Registered {
	return control.Registered{
		Hostname: r.Hostname, URL: c.url(r.Hostname), Target: r.Target.String(), TargetPort: r.Target.Port(), PID: r.PID, LeaseID: lease,
	}
}

func (c controlRoutes) List(context.Context) ([]control.Route, error) {
	out := []control.Route{}
	for _, r := range c.table.List() {
		out = append(out, control.Route{
			Hostname: r.Hostname, Target: r.Target.String(), TargetPort: r.Target.Port(), PID: r.PID, AppName: r.Name, URL: c.url(r.Hostname), Hosts: c.hosts(r.Hostname),
			Leased: r.Kind == routes.Leased, State: r.State, PathPrefix: r.PathPrefix, Wildcard: r.Wildcard, KeepHost: r.KeepHost,
			Insecure: r.Insecure, Command: r.Command, Directory: r.Directory, Output: r.Output,
		})
	}
	return out, nil
}

func (c controlRoutes) Register(ctx context.Context, req control.RouteRequest) (control.Registered, error) {
	if req.PID == os.Getpid() {
		return control.Registered{}, &fault.Error{Kind: fault.Invalid, Param: "pid", Message: "the daemon itself cannot own a route"}
	}
	r, err := c.table.Register(ctx, c.registration(req))
	return c.registered(r, ""), err
}

func (c controlRoutes) Deregister(ctx context.Context, name control.RouteName) (control.Removed, error) {
	r, err := c.table.Deregister(ctx, name.Name, name.PathPrefix)
	if err != nil {
		return control.Removed{}, err
	}
	return control.Removed{Removed: true, Hostname: r.Hostname, AppName: r.Name}, nil
}

func (c controlRoutes) Lease(ctx context.Context, req control.RouteRequest) (control.RouteLease, error) {
	lease, err := c.table.Lease(ctx, c.registration(req))
	if err != nil {
		return nil, err
	}
	l := &routeLease{lease, c, make(chan control.LeaseEvent)} // leases are distinguished by their address
	go l.forward()
	return l, nil
}

// routeLease adapts a lease to control.RouteLease.
type routeLease struct {
	lease  *routes.Lease
	routes controlRoutes
	events chan control.LeaseEvent
}

// forward forwards the events of the lease. It returns when the lease ends, which closes
// them.
func (l *routeLease) forward() {
	defer close(l.events)
	for ev := range l.lease.Events() {
		select {
		case l.events <- control.LeaseEvent{Event: ev.Kind, Reason: ev.Reason}:
		case <-l.lease.Done():
			return
		}
	}
}

func (l *routeLease) Registered() control.Registered {
	reg := l.routes.registered(l.lease.Route(), l.lease.ID())
	if r, ok := l.lease.Resting(); ok {
		reg.Resting = r.Target.String()
	}
	return reg
}

func (l *routeLease) Events() <-chan control.LeaseEvent { return l.events }

func (l *routeLease) Update(_ context.Context, u control.LeaseUpdate) error {
	for i, line := range u.Log {
		u.Log[i] = l.routes.redact(line)
	}
	return l.lease.Update(routes.Update{Port: u.Port, PID: u.PID, State: u.State, Exit: u.Exit, Log: u.Log})
}

func (l *routeLease) Release() { l.lease.Release() }
