package control

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

func (s *Server) getRoutes(w http.ResponseWriter, r *http.Request) {
	routes, err := s.routes.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for i := range routes {
		if routes[i].PathPrefix == "" {
			routes[i].Shares = s.sharesOf(routes[i].AppName)
		}
	}
	answer(w, RouteList{Routes: append([]Route{}, routes...)})
}

// routeRequest reads a request and validates everything that it can before a name is taken.
// The table validates the rest before it evicts another route.
func routeRequest(w http.ResponseWriter, r *http.Request) (RouteRequest, error) {
	var req RouteRequest
	if err := decode(w, r, &req); err != nil {
		return req, err
	}
	target(w, req.Name)
	bad := func(param, message string) (RouteRequest, error) {
		return req, &fault.Error{Kind: fault.Invalid, Message: message, Param: param}
	}
	switch {
	case req.Name == "":
		return bad("name", "name is missing")
	case req.Port < 0 || req.Port > 65535:
		return bad("port", "port must be from 1 to 65535")
	case req.PID < 0:
		return bad("pid", "pid must not be negative")
	case req.Port != 0 && req.Target != "":
		return bad("target", "give port or target, not both")
	case req.Port == 0 && req.Target == "" && !req.Reserve:
		return bad("port", "port is missing")
	}
	if err := checkTTL(req.TTL); err != nil {
		return req, err
	}
	return req, token.Request{
		Name: req.Name, RateLimit: req.RateLimit, TTL: time.Duration(req.TTL) * time.Second,
		Scope: token.Scope{Providers: req.AllowedProviders, Models: req.AllowedModels},
	}.Validate()
}

// postRegister registers a route and, if requested, creates its token: both or none.
func (s *Server) postRegister(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	req, err := routeRequest(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if req.AutoToken {
		// Its token would outlive the run that requests it.
		if err := s.refuseBelow(r, "create a permanent token"); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	before, err := s.routes.List(ctx)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reg, err := s.routes.Register(ctx, req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var t Token
	if req.AutoToken {
		if t, err = s.tokens.Mint(ctx, mintFor(req, reg, false)); err == nil {
			reg.Token = bound(t)
		}
	}
	if err == nil {
		// Revoke the tokens of the replaced route only when nothing can fail any more, since
		// a failure restores that route.
		err = s.tokens.RevokeBound(ctx, reg.Hostname, t.Token)
	}
	if err != nil {
		if undo := s.unregister(ctx, req, reg, before); undo != nil {
			s.log.Error("a registration that failed cannot be undone", "hostname", reg.Hostname, "error", undo)
		}
		s.fail(w, r, err)
		return
	}
	answer(w, reg)
}

// unregister undoes a registration and restores the route that it replaced.
func (s *Server) unregister(ctx context.Context, req RouteRequest, reg Registered, before []Route) error {
	for _, old := range before {
		if old.Hostname != reg.Hostname || old.PathPrefix != req.PathPrefix || old.Leased || old.PID != 0 {
			continue
		}
		again := RouteRequest{
			Name: old.AppName, Target: old.Target, Force: true, Alias: true, PathPrefix: old.PathPrefix,
			KeepHost: old.KeepHost, Insecure: old.Insecure, Wildcard: old.Wildcard, Command: old.Command, Directory: old.Directory,
		}
		if host, _, err := net.SplitHostPort(old.Target); old.TargetPort != 0 && (old.Target == "" || err == nil && host == "127.0.0.1") {
			again.Port, again.Target = old.TargetPort, ""
		}
		_, err := s.routes.Register(ctx, again)
		return err
	}
	_, err := s.routes.Deregister(ctx, RouteName{Name: req.Name, PathPrefix: req.PathPrefix})
	return err
}

// mintFor returns the request for a route's token, which is bound to the app's own origin.
func mintFor(req RouteRequest, reg Registered, lease bool) MintRequest {
	return MintRequest{
		TokenRequest: TokenRequest{Origin: originOf(reg.URL), Name: req.Name, TTL: req.TTL, Scope: req.Scope},
		Bound:        reg.Hostname,
		Lease:        lease,
	}
}

// originOf returns the origin of a route's URL.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // not a valid origin, so it is refused
	}
	return u.Scheme + "://" + u.Host
}

func bound(t Token) *BoundToken {
	return &BoundToken{Token: t.Token, Origin: t.Origin, ExpiresIn: t.ExpiresIn, Scope: filled(t.Scope)}
}

func (s *Server) postDeregister(w http.ResponseWriter, r *http.Request) {
	var name RouteName
	if err := decode(w, r, &name); err != nil {
		s.fail(w, r, err)
		return
	}
	target(w, name.Name)
	if name.Name == "" {
		s.fail(w, r, &fault.Error{Kind: fault.Invalid, Message: "name is missing", Param: "name"})
		return
	}
	removed, err := s.routes.Deregister(r.Context(), name)
	if err == nil {
		err = s.tokens.RevokeBound(r.Context(), removed.Hostname, Secret{})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, removed)
}

// postLease holds a route and its token while the connection is open.
func (s *Server) postLease(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	req, err := routeRequest(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	caller := callerOf(r)
	outer, err := s.clampScope(caller, &req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if err := s.defaultScope(ctx, &req); err != nil {
		s.fail(w, r, err)
		return
	}
	lease, err := s.routes.Lease(ctx, req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reg := lease.Registered()
	defer s.running(caller, req, reg)()
	closing, _ := ctx.Value(closingKey).(<-chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.endable(reg.LeaseID, cancel)()
	defer func() {
		select {
		case <-closing: // see Serve
			s.forget(lease, reg)
		default:
			s.release(lease, reg)
			s.log.Debug("lease connection ended", "hostname", reg.Hostname, "lease", reg.LeaseID)
		}
	}()
	if req.AutoToken || !req.Token.IsZero() {
		if reg.Token, err = s.leaseToken(ctx, req, reg, lease, outer); err != nil {
			s.fail(w, r, err)
			return
		}
		s.hasToken(reg)
	}
	s.mu.Lock()
	s.leases[reg.LeaseID] = lease
	s.mu.Unlock()
	s.log.Debug("lease connection accepted", "hostname", reg.Hostname, "lease", reg.LeaseID)
	s.stream(w, ctx, closing, req, reg, lease)
}

// defaultScope sets the scope of a run's token from the settings where the run requests
// none; "*" requests everything. A restored token keeps its own scope.
func (s *Server) defaultScope(ctx context.Context, req *RouteRequest) error {
	if !req.AutoToken || !req.Token.IsZero() {
		return nil
	}
	values, err := s.settings.Values(ctx)
	if err != nil {
		return err
	}
	var limit int
	for name, into := range map[string]any{config.RunProviders: &req.AllowedProviders, config.RunModels: &req.AllowedModels, config.RunRateLimit: &limit} {
		if list, ok := into.(*[]string); ok && len(*list) > 0 || values[name] == nil {
			continue
		}
		if err := json.Unmarshal(values[name], into); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	if req.RateLimit == 0 {
		req.RateLimit = limit
	}
	return nil
}

// leaseEnd ends a lease from outside of its stream.
type leaseEnd struct {
	cancel   context.CancelFunc
	released chan struct{} // closed when route and token have been removed
}

// endable registers a lease for deleteLease. released must be called when the route and the
// token have been removed.
func (s *Server) endable(id string, cancel context.CancelFunc) (released func()) {
	end := leaseEnd{cancel, make(chan struct{})}
	s.mu.Lock()
	s.ends[id] = end
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.ends, id)
		s.mu.Unlock()
		close(end.released)
	}
}

// deleteLease ends a lease and responds when its route and token have been removed. The end
// of a connection would be noticed only some time later.
func (s *Server) deleteLease(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	end, ok := s.ends[r.PathValue("id")]
	s.mu.Unlock()
	if !ok {
		s.fail(w, r, fault.New(fault.NotFound, "no such lease"))
		return
	}
	end.cancel()
	select {
	case <-end.released:
		answer(w, Outcome{Status: "released"})
	case <-r.Context().Done():
	}
}

// leaseToken restores the client's old token or creates a new one. If the old one was
// revoked meanwhile, the route has no token.
func (s *Server) leaseToken(ctx context.Context, req RouteRequest, reg Registered, lease RouteLease, outer []secret.String) (*BoundToken, error) {
	mint := mintFor(req, reg, true)
	mint.Parents = outer
	s.owning.Lock()
	defer s.owning.Unlock()
	var t Token
	var err error
	if req.Token.IsZero() {
		t, err = s.tokens.Mint(ctx, mint)
	} else {
		t, err = s.tokens.Restore(ctx, req.Token, mint)
		if fault.Is(err, fault.Unauthenticated) {
			s.log.Warn("lease registered again with a revoked token", "hostname", reg.Hostname)
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	s.owners[sha256.Sum256([]byte(t.Token.Reveal()))] = lease
	given := bound(t)
	given.Fixed = req.TTL > 0
	return given, nil
}

// release ends a lease. It releases the token, unless a newer lease has restored it, and
// then the route.
func (s *Server) release(lease RouteLease, reg Registered) {
	s.forget(lease, reg)
	if reg.Token != nil {
		s.owning.Lock()
		hash := sha256.Sum256([]byte(reg.Token.Token.Reveal()))
		if s.owners[hash] == lease {
			delete(s.owners, hash)
			if err := s.tokens.Release(context.Background(), reg.Token.Token); err != nil {
				s.log.Error("token of an ended lease could not be revoked", "hostname", reg.Hostname, "error", err)
			}
		}
		s.owning.Unlock()
	}
	lease.Release()
}

// forget removes a lease from those that can be updated.
func (s *Server) forget(lease RouteLease, reg Registered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[reg.LeaseID] == lease {
		delete(s.leases, reg.LeaseID)
	}
}

// stream writes a lease's lines until either side ends the stream.
func (s *Server) stream(w http.ResponseWriter, ctx context.Context, closing <-chan struct{}, req RouteRequest, reg Registered, lease RouteLease) {
	rc := http.NewResponseController(w)
	write := func(line any) bool {
		data, err := json.Marshal(line)
		if err != nil {
			return false
		}
		rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every ResponseWriter supports deadlines
		_, err = w.Write(append(data, '\n'))
		return err == nil && rc.Flush() == nil
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Cache-Control", "no-store")
	if !write(struct {
		Registered Registered `json:"registered"`
	}{reg}) {
		return
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-closing:
			return
		case e, open := <-lease.Events():
			if !open || !write(e) {
				return
			}
		case <-ping.C:
			if !write(LeaseEvent{Event: EventPing}) {
				return
			}
		case <-renew.C:
			// A token without a requested lifetime is valid as long as its lease.
			if reg.Token != nil && req.TTL == 0 {
				if _, err := s.tokens.Refresh(ctx, reg.Token.Token); err != nil {
					s.log.Debug("token of a lease was not renewed", "hostname", reg.Hostname, "error", err)
				}
			}
		}
	}
}

// patchLease handles a client's report about its child.
func (s *Server) patchLease(w http.ResponseWriter, r *http.Request) {
	var u LeaseUpdate
	if err := decode(w, r, &u); err != nil {
		s.fail(w, r, err)
		return
	}
	switch u.State {
	case "", StateStarting, StateListening, StateExited, StateIdle:
	default:
		s.fail(w, r, &fault.Error{Kind: fault.Invalid, Message: "state is starting, listening, exited or idle", Param: "state"})
		return
	}
	if u.Port < 0 || u.Port > 65535 {
		s.fail(w, r, &fault.Error{Kind: fault.Invalid, Message: "port must be from 1 to 65535", Param: "port"})
		return
	}
	s.mu.Lock()
	lease := s.leases[r.PathValue("id")]
	s.mu.Unlock()
	if lease == nil {
		s.fail(w, r, fault.New(fault.NotFound, "no such lease"))
		return
	}
	if err := lease.Update(r.Context(), u); err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, Outcome{Status: "updated"})
}
