package daemon

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/control"
)

// Status returns the daemon's status.
func (c controlDaemon) Status(ctx context.Context) (control.Status, error) {
	s := control.Status{
		Version: c.cfg.Version, PID: os.Getpid(), Port: c.sockets.Port, TLS: c.tls, Web: len(c.sockets.Web) > 0, StartedAt: c.started.UTC(),
		Activation: c.sockets.Activation, IdleTimeout: int64(c.idleTimeout() / time.Second), Binary: c.cfg.Program, Routes: c.routes.Len(), Tokens: c.tokens.Live(), InFlight: c.front.InFlight(), Killed: c.killer.Stopped(),
		URL: c.url(), Home: c.cfg.Paths.Home, DevMode: c.cfg.DevMode, Persistence: c.persistence(), Warnings: slices.Concat(c.daemon.warnings.list(), c.vault.Warnings(), c.budgets.Warnings(), c.requestWarnings(), c.pool.Problems()), Providers: []control.ProviderStatus{},
	}
	// Problems with the stored keys are among the warnings.
	entries, _, _ := c.keys.List(ctx)
	for _, e := range entries {
		if !slices.ContainsFunc(s.Providers, func(p control.ProviderStatus) bool { return p.Provider == e.Provider }) {
			s.Providers = append(s.Providers, control.ProviderStatus{Provider: e.Provider, BaseURL: e.BaseURL, Storage: e.Storage, Locked: e.Locked})
		}
	}
	return s, nil
}

// url returns the gateway's URL on bare localhost.
func (d *daemon) url() string { return d.address("localhost") }

// address returns a host's URL for users: https if that is on, and without the port if it
// is the scheme's default.
func (d *daemon) address(host string) string {
	scheme := "http"
	if d.tls {
		scheme = "https"
	}
	if d.sockets.HasWeb(scheme) {
		return scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, d.sockets.Port)
}

// warnings holds descriptions of what is degraded, by the part that reports them. It is safe
// for concurrent use.
type warnings struct {
	mu     sync.Mutex
	byPart map[string][]string
}

// set replaces the warnings of a part.
func (w *warnings) set(part string, found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byPart == nil {
		w.byPart = map[string][]string{}
	}
	w.byPart[part] = slices.Clone(found)
}

// list returns all warnings, nil if there are none.
func (w *warnings) list() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, part := range slices.Sorted(maps.Keys(w.byPart)) {
		all = append(all, w.byPart[part]...)
	}
	return all
}
