package control_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/token"
)

// tokens adapts the real token store.
type tokens struct {
	*token.Store
	full *atomic.Bool // Mint fails
}

func request(req control.MintRequest) token.Request {
	return token.Request{
		Origin: req.Origin, Name: req.Name, TTL: time.Duration(req.TTL) * time.Second, RateLimit: req.RateLimit,
		Scope: token.Scope{Providers: req.AllowedProviders, Models: req.AllowedModels}, Bound: req.Bound, Lease: req.Lease, Parents: req.Parents,
	}
}

func answerOf(m token.Minted, err error) (control.Token, error) {
	return control.Token{
		Token: control.Secret{String: m.Secret}, Origin: m.Origin, Name: m.Name, ExpiresIn: int64(m.ExpiresIn / time.Second),
		Scope: control.Scope{AllowedProviders: m.Scope.Providers, AllowedModels: m.Scope.Models, RateLimit: m.RateLimit},
	}, err
}

func (t tokens) Mint(ctx context.Context, req control.MintRequest) (control.Token, error) {
	if t.full.Load() {
		return control.Token{}, errors.New("no space left")
	}
	return answerOf(t.Store.Mint(ctx, request(req)))
}

func (t tokens) Restore(ctx context.Context, old control.Secret, req control.MintRequest) (control.Token, error) {
	return answerOf(t.Store.Restore(ctx, old.String, request(req)))
}

func (t tokens) Refresh(ctx context.Context, ref control.Secret) (time.Duration, error) {
	return t.Store.Refresh(ctx, ref.String)
}

func (t tokens) Revoke(ctx context.Context, ref control.Secret) error {
	return t.Store.Revoke(ctx, ref.String)
}

func (t tokens) RevokeBound(ctx context.Context, hostname string, keep control.Secret) error {
	return t.Store.RevokeBound(ctx, hostname, keep.String)
}

func (t tokens) Release(_ context.Context, s control.Secret) error {
	t.Store.Release(s.String)
	return nil
}

func (t tokens) List(context.Context) ([]control.TokenInfo, error) {
	var out []control.TokenInfo
	for _, i := range t.Store.List() {
		out = append(out, control.TokenInfo{Prefix: i.Prefix, Origin: i.Origin, AppName: i.Name, ExpiresIn: int64(time.Until(i.Expires) / time.Second)})
	}
	return out, nil
}

// keyStore adapts the real key store.
type keyStore struct{ *keys.Store }

func infoOf(e keys.Entry) control.KeyInfo {
	return control.KeyInfo{Provider: e.Provider, Label: e.Label, HasKey: e.HasKey(), Reference: e.Reference, BaseURL: e.BaseURL, Storage: e.Storage, Hint: e.Hint(), Dialect: e.Dialect, AllowPrivate: e.AllowPrivate}
}

func (k keyStore) List(ctx context.Context) ([]control.KeyInfo, error) {
	entries, _, err := k.Store.List(ctx)
	var out []control.KeyInfo
	for _, e := range entries {
		out = append(out, infoOf(e))
	}
	return out, err
}

func (k keyStore) Put(ctx context.Context, provider string, req control.KeyRequest) (control.KeyStored, error) {
	e, note, err := k.Store.Put(ctx, keys.Entry{
		Provider: provider, Label: req.Label, Key: req.Key.String, Reference: req.Reference, BaseURL: req.BaseURL, Dialect: req.Dialect, AllowPrivate: req.AllowPrivate,
	})
	return control.KeyStored{KeyInfo: infoOf(e), Note: note}, err
}

func (k keyStore) Delete(ctx context.Context, provider, label string, all bool) ([]string, error) {
	labels := []string{label}
	if all {
		label = keys.AllLabels
	}
	return labels, k.Store.Delete(ctx, provider, label)
}

func (k keyStore) Migrate(ctx context.Context, req control.MigrateRequest) (control.Migrated, error) {
	_, err := k.Store.Migrate(ctx, req.To, req.Passphrase.String)
	return control.Migrated{}, err
}

func (k keyStore) Unlock(ctx context.Context, req control.UnlockRequest) error {
	return k.Store.Unlock(ctx, req.Passphrase.String)
}

// settings adapts the real settings.
type settings struct{ *config.Settings }

func (s settings) Values(context.Context) (control.ConfigValues, error) {
	return s.Settings.Values(), nil
}
func (s settings) Patch(_ context.Context, v control.ConfigValues) error { return s.Settings.Patch(v) }
func (s settings) Origins(context.Context) ([]string, error)             { return s.AllowedOrigins(), nil }
func (s settings) AddOrigin(_ context.Context, o string) error           { return s.Settings.AddOrigin(o) }
func (s settings) Commands(context.Context) ([]control.Command, error) {
	var out []control.Command
	for name, c := range s.Settings.Commands() {
		out = append(out, control.Command{Name: name, Argv: c.Argv})
	}
	return out, nil
}
func (s settings) SetCommand(_ context.Context, c control.Command) error {
	return s.Settings.SetCommand(c.Name, config.Command{Argv: c.Argv})
}
func (s settings) RemoveCommand(_ context.Context, name string) error {
	return s.Settings.RemoveCommand(name)
}
func (s settings) Aliases(context.Context) ([]control.Alias, error) {
	var out []control.Alias
	for name, targets := range s.ModelAliases() {
		out = append(out, control.Alias{Name: name, Targets: targets})
	}
	for token, own := range s.TokenModelAliases() {
		for name, targets := range own {
			out = append(out, control.Alias{Name: name, Targets: targets, Token: token})
		}
	}
	return out, nil
}
func (s settings) SetAlias(_ context.Context, a control.Alias) error {
	return s.SetModelAlias(a.Token, a.Name, a.Targets, func(map[string][]string) error { return nil })
}
func (s settings) RemoveAlias(_ context.Context, token, name string) error {
	return s.RemoveModelAlias(token, name)
}
func (s settings) RemoveOrigin(_ context.Context, o string) error { return s.Settings.RemoveOrigin(o) }

// routes is a route table in memory.
type routes struct {
	mu       sync.Mutex
	n        int
	held     map[string]*lease
	standing map[string]control.Route
	released chan string
	updates  chan control.LeaseUpdate
}

type lease struct {
	routes *routes
	reg    control.Registered
	name   string
	events chan control.LeaseEvent
	once   sync.Once
}

func (r *routes) registered(req control.RouteRequest) control.Registered {
	r.n++
	return control.Registered{
		Hostname: req.Name + ".localhost", URL: "http://" + req.Name + ".localhost:48282", TargetPort: req.Port, PID: req.PID,
		LeaseID: fmt.Sprintf("l%d", r.n),
	}
}

func (r *routes) List(context.Context) ([]control.Route, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []control.Route
	for _, route := range r.standing {
		out = append(out, route)
	}
	return out, nil
}

func (r *routes) taken(req control.RouteRequest) error {
	if l := r.held[req.Name]; l != nil && !req.Force {
		return &fault.Error{Kind: fault.Conflict, Message: req.Name + " is held by pid 7 (vite)", Next: "hostless run --force"}
	}
	return nil
}

func (r *routes) Register(_ context.Context, req control.RouteRequest) (control.Registered, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.taken(req); err != nil {
		return control.Registered{}, err
	}
	reg := r.registered(req)
	reg.LeaseID = ""
	r.standing[req.Name] = control.Route{Hostname: reg.Hostname, AppName: req.Name, Target: req.Target, TargetPort: req.Port, URL: reg.URL}
	return reg, nil
}

func (r *routes) Deregister(_ context.Context, name control.RouteName) (control.Removed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.standing[name.Name]; !ok {
		return control.Removed{}, fault.New(fault.NotFound, "no route "+name.Name)
	}
	delete(r.standing, name.Name)
	return control.Removed{Removed: true, Hostname: name.Name + ".localhost", AppName: name.Name}, nil
}

func (r *routes) Lease(_ context.Context, req control.RouteRequest) (control.RouteLease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.taken(req); err != nil {
		return nil, err
	}
	l := &lease{routes: r, reg: r.registered(req), name: req.Name, events: make(chan control.LeaseEvent, 4)}
	if old := r.held[req.Name]; old != nil {
		old.events <- control.LeaseEvent{Event: control.EventEvicted}
	}
	r.held[req.Name] = l
	return l, nil
}

func (l *lease) Registered() control.Registered    { return l.reg }
func (l *lease) Events() <-chan control.LeaseEvent { return l.events }
func (l *lease) Update(_ context.Context, u control.LeaseUpdate) error {
	l.routes.updates <- u
	return nil
}
func (l *lease) Release() {
	l.once.Do(func() {
		l.routes.mu.Lock()
		if l.routes.held[l.name] == l {
			delete(l.routes.held, l.name)
		}
		l.routes.mu.Unlock()
		l.routes.released <- l.reg.LeaseID
	})
}

// process is a fake daemon.
type process struct{ stopped, reloaded chan struct{} }

func (p process) Status(context.Context) (control.Status, error) {
	return control.Status{Version: "test", PID: os.Getpid(), Port: 48282, Activation: "self"}, nil
}
func (p process) Reload(context.Context) error { p.reloaded <- struct{}{}; return nil }
func (p process) Stop(context.Context) error   { p.stopped <- struct{}{}; return nil }

func (p process) Restart(context.Context) (control.Restarted, error) {
	return control.Restarted{Status: "restarting", PID: 1}, nil
}

// world is a control server on a real socket, with its stores.
type world struct {
	socket string
	tokens tokens
	keys   keyStore
	routes *routes
	proc   process
	stop   func()
	server *control.Server
}

func newWorld(t *testing.T, change func(*control.ServerConfig)) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hlc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ts, _, err := token.New(token.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ks, _, err := keys.New(keys.Config{Path: filepath.Join(dir, "keys.env")})
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := config.OpenSettings(config.SettingsConfig{Path: filepath.Join(dir, "config.json")})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		socket: filepath.Join(dir, "c.sock"), tokens: tokens{ts, &atomic.Bool{}}, keys: keyStore{ks},
		routes: &routes{held: map[string]*lease{}, standing: map[string]control.Route{}, released: make(chan string, 16), updates: make(chan control.LeaseUpdate, 16)},
		proc:   process{make(chan struct{}, 1), make(chan struct{}, 1)},
	}
	cfg := control.ServerConfig{
		Tokens: w.tokens, Keys: w.keys, Routes: w.routes, Settings: settings{st}, Daemon: w.proc,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	if w.server, err = control.NewServer(cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(w.socket, 0o600)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx, ln) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}
