package control

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	status, err := s.daemon.Status(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if status.Providers == nil {
		status.Providers = []ProviderStatus{}
	}
	answer(w, status)
}

func (s *Server) postStop(w http.ResponseWriter, r *http.Request) {
	if err := s.daemon.Stop(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, Outcome{Status: "stopping"})
}

func (s *Server) postRestart(w http.ResponseWriter, r *http.Request) {
	restarted, err := s.daemon.Restart(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, restarted)
}

func (s *Server) postReload(w http.ResponseWriter, r *http.Request) {
	if err := s.daemon.Reload(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, Outcome{Status: "reloaded"})
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	var req TokenRequest
	err := decode(w, r, &req)
	if err == nil {
		err = checkTTL(req.TTL)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	t, err := s.tokens.Mint(r.Context(), MintRequest{TokenRequest: req})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	t.Scope = filled(t.Scope)
	target(w, shownOf(t.Token))
	s.log.Info("bridge token created", "token", shownOf(t.Token), "name", t.Name, "origin", t.Origin, "expires_in", t.ExpiresIn)
	answer(w, t)
}

// shownOf returns the part of a token that may be shown.
func shownOf(t Secret) string {
	text := t.Reveal()
	return text[:min(len(text), shownToken)]
}

// tokenRef reads a request body that names a token.
func tokenRef(w http.ResponseWriter, r *http.Request) (Secret, error) {
	var ref TokenRef
	if err := decode(w, r, &ref); err != nil {
		return Secret{}, err
	}
	if ref.Token.IsZero() {
		return Secret{}, &fault.Error{Kind: fault.Invalid, Message: "token is missing", Param: "token"}
	}
	target(w, shownOf(ref.Token))
	return ref.Token, nil
}

func (s *Server) postRefresh(w http.ResponseWriter, r *http.Request) {
	ref, err := tokenRef(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	left, err := s.tokens.Refresh(r.Context(), ref)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("bridge token refreshed", "token", shownOf(ref), "expires_in", seconds(left))
	answer(w, Refreshed{Status: "refreshed", ExpiresIn: seconds(left)})
}

func (s *Server) postRevoke(w http.ResponseWriter, r *http.Request) {
	ref, err := tokenRef(w, r)
	if err == nil {
		err = s.tokens.Revoke(r.Context(), ref)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("bridge token revoked", "token", shownOf(ref))
	answer(w, Outcome{Status: "revoked"})
}

func (s *Server) getTokens(w http.ResponseWriter, r *http.Request) {
	tokens, err := s.tokens.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := TokenList{Tokens: []TokenInfo{}}
	for _, t := range tokens {
		t.Scope = filled(t.Scope)
		out.Tokens = append(out.Tokens, t)
	}
	answer(w, out)
}

func (s *Server) getOrigins(w http.ResponseWriter, r *http.Request) {
	list, err := s.originList(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, list)
}

func (s *Server) putOrigin(w http.ResponseWriter, r *http.Request) {
	var req OriginRequest
	err := decode(w, r, &req)
	target(w, req.Origin)
	if err == nil {
		err = s.settings.AddOrigin(r.Context(), req.Origin)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("origin allowed", "origin", req.Origin)
	s.getOrigins(w, r)
}

func (s *Server) deleteOrigin(w http.ResponseWriter, r *http.Request) {
	var req OriginRequest
	err := decode(w, r, &req)
	target(w, req.Origin)
	if err == nil {
		err = s.removeOrigin(r.Context(), req.Origin)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("origin removed", "origin", req.Origin)
	s.getOrigins(w, r)
}

func (s *Server) getConfig(w http.ResponseWriter, r *http.Request) {
	values, err := s.settings.Values(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, values)
}

func (s *Server) patchConfig(w http.ResponseWriter, r *http.Request) {
	var values ConfigValues
	err := decode(w, r, &values)
	target(w, strings.Join(slices.Sorted(maps.Keys(values)), ","))
	if err == nil {
		err = s.settings.Patch(r.Context(), values)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("settings changed", "names", slices.Sorted(maps.Keys(values)))
	s.getConfig(w, r)
}
