package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Logins is what the server needs of logins with providers.
type Logins interface {
	// Begin starts a login. The error is fault.NotFound for a provider without logins.
	Begin(ctx context.Context, provider string) (Login, error)
	// Wait returns the outcome of a login, or after a while that it is pending.
	Wait(ctx context.Context, id string) (LoginOutcome, error)
	List(ctx context.Context) ([]LoginStatus, error)
	// Logout removes the key that a login stored.
	Logout(ctx context.Context, provider string) error
}

// LoginRequest is the body of POST /auth/logins.
type LoginRequest struct {
	Provider string `json:"provider"`
}

// Login is the response to POST /auth/logins. The user signs in at URL.
type Login struct {
	ID        string `json:"id"`
	Provider  string `json:"provider"`
	URL       string `json:"url"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// LoginOutcome is the response to GET /auth/logins/{id}, a long poll.
type LoginOutcome struct {
	Status   string `json:"status"` // pending, stored or failed
	Provider string `json:"provider"`
	Storage  string `json:"storage,omitempty"`
	Hint     string `json:"hint,omitempty"`
	Reason   string `json:"reason,omitempty"` // why it failed
}

// The values of LoginOutcome.Status.
const (
	LoginPending = "pending"
	LoginStored  = "stored"
)

// LoginStatus is one row of GET /auth/logins.
type LoginStatus struct {
	Provider   string    `json:"provider"`
	LoggedInAt time.Time `json:"logged_in_at"`
	Storage    string    `json:"storage"`
	Hint       string    `json:"hint"`
	Current    bool      `json:"current"` // the stored key is still that of the login
}

// LoginList is the response to GET /auth/logins.
type LoginList struct {
	Logins []LoginStatus `json:"logins"`
}

func (s *Server) loginRoutes(mux *http.ServeMux) {
	if s.logins == nil {
		return
	}
	mux.HandleFunc("GET /auth/logins", s.getLogins)
	mux.HandleFunc("POST /auth/logins", s.denyFromRuns(s.postLogin))
	mux.HandleFunc("GET /auth/logins/{id}", s.getLogin)
	mux.HandleFunc("DELETE /auth/logins/{provider}", s.denyFromRuns(s.deleteLogin))
}

func (s *Server) getLogins(w http.ResponseWriter, r *http.Request) {
	list, err := s.logins.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, LoginList{Logins: append([]LoginStatus{}, list...)})
}

func (s *Server) postLogin(w http.ResponseWriter, r *http.Request) {
	var req LoginRequest
	err := decode(w, r, &req)
	if err == nil && req.Provider == "" {
		err = &fault.Error{Kind: fault.Invalid, Message: "provider is missing", Param: "provider"}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	login, err := s.logins.Begin(r.Context(), req.Provider)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("login started", "provider", login.Provider)
	answer(w, login)
}

func (s *Server) getLogin(w http.ResponseWriter, r *http.Request) {
	outcome, err := s.logins.Wait(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, outcome)
}

func (s *Server) deleteLogin(w http.ResponseWriter, r *http.Request) {
	provider := r.PathValue("provider")
	if err := s.logins.Logout(r.Context(), provider); err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("login key removed", "provider", provider)
	answer(w, Outcome{Status: "removed"})
}

// BeginLogin starts a login with a provider.
func (c *Client) BeginLogin(ctx context.Context, provider string) (l Login, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/auth/logins", LoginRequest{provider}, &l)
	return l, err
}

// WaitLogin returns a login's outcome. Call it again if that is pending.
func (c *Client) WaitLogin(ctx context.Context, id string) (o LoginOutcome, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/auth/logins/"+url.PathEscape(id), nil, &o)
	return o, err
}

// Logins lists the logins that stored a key.
func (c *Client) Logins(ctx context.Context) (l LoginList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/auth/logins", nil, &l)
	return l, err
}

// Logout removes the key that a login stored.
func (c *Client) Logout(ctx context.Context, provider string) (o Outcome, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/auth/logins/"+url.PathEscape(provider), nil, &o)
	return o, err
}
