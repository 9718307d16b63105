package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// tokenPrefix is the prefix of every bridge token. shownToken is the length of the part
// that may be shown.
const (
	tokenPrefix = "sk_local_"
	shownToken  = len(tokenPrefix) + 8
)

// Alias is a name for other models: one row of GET /models/aliases. The body of PUT
// /models/aliases/{name} has the targets, and the token if the alias is for one only.
type Alias struct {
	Name    string   `json:"name"`
	Targets []string `json:"targets"`         // in order of preference, as given
	Token   string   `json:"token,omitempty"` // the prefix or the name of the only token that it is for; "" is all tokens
}

// AliasList is the response to every request for /models/aliases. For GET
// /models/aliases/{name} it has one alias.
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
	var found []Alias
	for _, a := range all {
		if a.Name == r.PathValue("name") {
			found = append(found, a)
		}
	}
	if found != nil {
		answer(w, AliasList{Aliases: found})
		return
	}
	s.fail(w, r, &fault.Error{Kind: fault.NotFound, Message: "there is no such alias", Next: "hostless model list", Param: "name"})
}

func (s *Server) putAlias(w http.ResponseWriter, r *http.Request) {
	var a Alias
	err := decode(w, r, &a)
	name := r.PathValue("name")
	if err == nil && a.Name != "" && a.Name != name {
		err = &fault.Error{Kind: fault.Invalid, Message: "the name in the body differs from the name in the path", Param: "name"}
	}
	if a.Name = name; err == nil {
		a.Token, err = aliasToken(a.Token)
	}
	if err == nil {
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
	token, err := aliasToken(r.URL.Query().Get("token"))
	if err == nil {
		err = s.settings.RemoveAlias(r.Context(), token, name)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	target(w, name)
	s.log.Info("model alias removed", "name", name)
	s.getAliases(w, r)
}

// aliasToken returns a token's name or prefix in the form in which it is stored. A whole
// token is cut to the part that may be shown.
func aliasToken(text string) (string, error) {
	if !strings.HasPrefix(text, tokenPrefix) {
		return text, nil
	}
	if len(text) < shownToken {
		return "", &fault.Error{
			Kind: fault.Invalid, Param: "token", Next: "hostless token list",
			Message: fmt.Sprintf("a token's prefix has %d characters", shownToken),
		}
	}
	return text[:shownToken], nil
}

// Aliases lists the model aliases.
func (c *Client) Aliases(ctx context.Context) (l AliasList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/models/aliases", nil, &l)
	return l, err
}

// SetAlias adds or replaces an alias.
func (c *Client) SetAlias(ctx context.Context, a Alias) (l AliasList, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/models/aliases/"+url.PathEscape(a.Name), map[string]any{"targets": a.Targets, "token": a.Token}, &l)
	return l, err
}

// RemoveAlias removes an alias: that of the token if token is not "", else the one for
// all.
func (c *Client) RemoveAlias(ctx context.Context, token, name string) (l AliasList, err error) {
	path := "/models/aliases/" + url.PathEscape(name)
	if token != "" {
		path += "?token=" + url.QueryEscape(token)
	}
	_, err = c.Do(ctx, http.MethodDelete, path, nil, &l)
	return l, err
}
