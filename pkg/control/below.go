package control

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/pkg/secret"
)

// run is what a lease grants to the processes of its run. They have the user's uid, but
// may request no more than that.
type run struct {
	hostname string
	pid      int // pid of the client
	token    bool
	secret   Secret // the token, once it exists
	scope    Scope
	until    time.Time // the token's expiry, or zero
}

func callerOf(r *http.Request) peer.Cred {
	caller, _ := r.Context().Value(peerKey).(peerResult)
	return caller.Cred
}

// running registers a lease for enclosingRuns until ended is called.
func (s *Server) running(caller peer.Cred, req RouteRequest, reg Registered) (ended func()) {
	r := run{hostname: reg.Hostname, pid: caller.PID, token: req.AutoToken || !req.Token.IsZero(), scope: req.Scope}
	if req.TTL > 0 {
		r.until = time.Now().Add(time.Duration(req.TTL) * time.Second)
	}
	s.mu.Lock()
	s.runs[reg.LeaseID] = r
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.runs, reg.LeaseID)
		s.mu.Unlock()
	}
}

// hasToken records the token that a run got.
func (s *Server) hasToken(reg Registered) {
	if reg.Token == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.runs[reg.LeaseID]; ok {
		r.secret = reg.Token.Token
		s.runs[reg.LeaseID] = r
	}
}

// enclosingRuns returns the runs that a process is a part of: those among its ancestors,
// as the kernel reports them. It limits honest programs and overeager agents to what they
// were granted; a malicious program of the same user can detach from its parents. A caller
// that has ended after it sent its request, or has passed its connection on, could belong
// to any run: that is an error while there are runs.
func (s *Server) enclosingRuns(caller peer.Cred) (found []run, err error) {
	if caller.PID <= 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.pid <= 0 || r.pid == caller.PID {
			continue
		}
		switch below, err := peer.Below(caller.PID, r.pid); {
		case below:
			found = append(found, r)
		case errors.Is(err, peer.ErrGone) && caller.UID == s.uid: // processes of root may be hidden from this one
			return nil, &fault.Error{Kind: fault.Forbidden,
				Message: "the program that sent this request has ended, so Hostless cannot determine whether `hostless run` started it",
				Next:    "make it wait for the response"}
		}
	}
	return found, nil
}

// RunOf returns the hostname of the innermost run that contains a process of the daemon's
// own user, or "".
func (s *Server) RunOf(pid int) string {
	enclosing, err := s.enclosingRuns(peer.Cred{UID: s.uid, PID: pid})
	if err != nil || len(enclosing) == 0 {
		return ""
	}
	return enclosing[0].hostname
}

// denyFromRuns refuses requests that administer the daemon if they come from a run.
func (s *Server) denyFromRuns(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.refuseBelow(r, "change tokens, keys or settings"); err != nil {
			s.fail(w, r, err)
			return
		}
		next(w, r)
	}
}

func (s *Server) refuseBelow(r *http.Request, what string) error {
	enclosing, err := s.enclosingRuns(callerOf(r))
	if err != nil || len(enclosing) == 0 {
		return err
	}
	return &fault.Error{Kind: fault.Forbidden,
		Message: fmt.Sprintf("a program that `hostless run` started (%s) may not %s", enclosing[0].hostname, what),
		Next:    "type it in a terminal outside of hostless run"}
}

// clampScope limits the request of an inner run to the scope of the enclosing ones. It
// returns their tokens, whose rate limits the inner run shares.
func (s *Server) clampScope(caller peer.Cred, req *RouteRequest) (outer []secret.String, err error) {
	enclosing, err := s.enclosingRuns(caller)
	if err != nil {
		return nil, err
	}
	for _, r := range enclosing {
		if !r.token {
			req.AutoToken, req.Token = false, Secret{}
			continue
		}
		if req.AllowedProviders, err = clampList(r, "allowed_providers", r.scope.AllowedProviders, req.AllowedProviders); err != nil {
			return nil, err
		}
		if req.AllowedModels, err = clampList(r, "allowed_models", r.scope.AllowedModels, req.AllowedModels); err != nil {
			return nil, err
		}
		if !r.secret.IsZero() {
			outer = append(outer, r.secret.String)
		}
		if limit := r.scope.RateLimit; limit > 0 && (req.RateLimit == 0 || req.RateLimit > limit) {
			req.RateLimit = limit
		}
		if !r.until.IsZero() {
			left := max(1, int64(time.Until(r.until).Seconds()))
			if req.TTL == 0 || req.TTL > left {
				req.TTL = left
			}
		}
	}
	return outer, nil
}

// clampList limits a list of names and globs to that of the outer run.
func clampList(r run, param string, outer, asked []string) ([]string, error) {
	if len(outer) == 0 {
		return asked, nil
	}
	if len(asked) == 0 {
		return outer, nil
	}
	for _, name := range asked {
		if !covered(name, outer) {
			return nil, &fault.Error{Kind: fault.Forbidden, Param: param,
				Message: fmt.Sprintf("%.80q exceeds the scope of the enclosing run (%s): %s", name, r.hostname, strings.Join(outer, ","))}
		}
	}
	return asked, nil
}

// covered reports whether one of the globs matches everything that a name or glob matches.
func covered(name string, globs []string) bool {
	for _, g := range globs {
		prefix, open := strings.CutSuffix(g, "*")
		if g == name || open && strings.HasPrefix(strings.TrimSuffix(name, "*"), prefix) {
			return true
		}
	}
	return false
}
