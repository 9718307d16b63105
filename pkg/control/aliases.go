package control

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Alias is a name that stands for other models: one row of GET /models/aliases. The
// body of PUT /models/aliases/{name} has the targets alone.
type Alias struct {
	Name    string   `json:"name"`
	Targets []string `json:"targets"` // best first, as they were given
}

// AliasList answers every request for /models/aliases; GET /models/aliases/{name} has
// the one alias in it.
type AliasList struct {
	Aliases []Alias `json:"aliases"`
}

func (s *Server) aliasRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /models/aliases", s.getAliases)
	mux.HandleFunc("GET /models/aliases/{name...}", s.getAlias)
	mux.HandleFunc("PUT /models/aliases/{name...}", s.denyFromRuns(s.putAlias))
	mux.HandleFunc("DELETE /models/aliases/{name...}", s.denyFromRuns(s.deleteAlias))
}

func (s *Server) getAliases(w http.ResponseWriter, r *http.Request) {
	all, err := s.settings.Aliases(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, AliasList{Aliases: append([]Alias{}, all...)})
}

func (s *Server) getAlias(w http.ResponseWriter, r *http.Request) {
	all, err := s.settings.Aliases(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for _, a := range all {
		if a.Name == r.PathValue("name") {
			answer(w, AliasList{Aliases: []Alias{a}})
			return
		}
	}
	s.fail(w, r, &fault.Error{Kind: fault.NotFound, Message: "there is no such alias", Next: "hostless model list", Param: "name"})
}

func (s *Server) putAlias(w http.ResponseWriter, r *http.Request) {
	var a Alias
	err := decode(w, r, &a)
	name := r.PathValue("name")
	if err == nil && a.Name != "" && a.Name != name {
		err = &fault.Error{Kind: fault.Invalid, Message: "the body names another alias than the path", Param: "name"}
	}
	if a.Name = name; err == nil {
		err = s.settings.SetAlias(r.Context(), a)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	target(w, name)
	s.log.Info("model alias set", "name", name, "targets", strings.Join(a.Targets, ","))
	s.getAliases(w, r)
}

func (s *Server) deleteAlias(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := s.settings.RemoveAlias(r.Context(), name); err != nil {
		s.fail(w, r, err)
		return
	}
	target(w, name)
	s.log.Info("model alias removed", "name", name)
	s.getAliases(w, r)
}

// Aliases lists the names that stand for other models.
func (c *Client) Aliases(ctx context.Context) (l AliasList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/models/aliases", nil, &l)
	return l, err
}

// SetAlias sets what a name stands for.
func (c *Client) SetAlias(ctx context.Context, a Alias) (l AliasList, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/models/aliases/"+url.PathEscape(a.Name), map[string][]string{"targets": a.Targets}, &l)
	return l, err
}

// RemoveAlias takes an alias away.
func (c *Client) RemoveAlias(ctx context.Context, name string) (l AliasList, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/models/aliases/"+url.PathEscape(name), nil, &l)
	return l, err
}
