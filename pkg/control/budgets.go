package control

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/hostless/hostless/pkg/budget"
)

// Budgets is what the server needs of the budgets.
type Budgets interface {
	List(ctx context.Context) ([]budget.Budget, error)
	// Put sets a budget. An existing one of the same scope, unit and period gets the new
	// limit.
	Put(ctx context.Context, req budget.Request) (budget.Budget, error)
	// Remove removes a budget. The error is fault.NotFound if none has the id.
	Remove(ctx context.Context, id string) error
}

// Switch is what the server needs of the kill switch.
type Switch interface {
	// Kill stops all AI traffic, also across restarts, and ends requests in flight.
	Kill(ctx context.Context) error
	// Unkill allows AI traffic again.
	Unkill(ctx context.Context) error
}

// BudgetList is the response to GET /budgets.
type BudgetList struct {
	Budgets []budget.Budget `json:"budgets"`
}

// BudgetRemoved is the response to DELETE /budgets/{id}.
type BudgetRemoved struct {
	Removed bool   `json:"removed"`
	ID      string `json:"id"`
}

// Killed is the response to POST /kill and POST /unkill.
type Killed struct {
	Killed bool `json:"killed"`
}

func (s *Server) budgetRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /budgets", s.getBudgets)
	mux.HandleFunc("PUT /budgets", s.denyFromRuns(s.putBudget))
	mux.HandleFunc("DELETE /budgets/{id}", s.denyFromRuns(s.deleteBudget))
}

// getBudgets lists the budgets. Inside runs it lists only those of the runs' apps.
func (s *Server) getBudgets(w http.ResponseWriter, r *http.Request) {
	apps, err := s.appsFor(r, "")
	var list []budget.Budget
	if err == nil {
		list, err = s.budgets.List(r.Context())
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if apps != nil {
		list = slices.DeleteFunc(list, func(b budget.Budget) bool { return !slices.Contains(apps, b.Scope.App) })
	}
	answer(w, BudgetList{Budgets: append([]budget.Budget{}, list...)})
}

func (s *Server) putBudget(w http.ResponseWriter, r *http.Request) {
	var req budget.Request
	err := decode(w, r, &req)
	if err == nil {
		var set budget.Budget
		if set, err = s.budgets.Put(r.Context(), req); err == nil {
			target(w, set.ID)
			s.log.Info("budget set", "budget", set.ID, "limit", set.Limit.String(), "unit", set.Unit, "period", set.Period)
			answer(w, set)
			return
		}
	}
	s.fail(w, r, err)
}

func (s *Server) deleteBudget(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := s.budgets.Remove(r.Context(), id); err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("budget removed", "budget", id)
	answer(w, BudgetRemoved{Removed: true, ID: id})
}

func (s *Server) postKill(w http.ResponseWriter, r *http.Request) {
	if err := s.killer.Kill(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Warn("all AI traffic is stopped")
	answer(w, Killed{Killed: true})
}

func (s *Server) postUnkill(w http.ResponseWriter, r *http.Request) {
	if err := s.killer.Unkill(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	s.log.Info("AI traffic is allowed again")
	answer(w, Killed{Killed: false})
}

// Budgets lists the budgets and how much of each is used.
func (c *Client) Budgets(ctx context.Context) (l BudgetList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/budgets", nil, &l)
	return l, err
}

// PutBudget sets a budget.
func (c *Client) PutBudget(ctx context.Context, req budget.Request) (b budget.Budget, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/budgets", req, &b)
	return b, err
}

// RemoveBudget removes a budget.
func (c *Client) RemoveBudget(ctx context.Context, id string) (r BudgetRemoved, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/budgets/"+url.PathEscape(id), nil, &r)
	return r, err
}

// Kill stops all AI traffic.
func (c *Client) Kill(ctx context.Context) (k Killed, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/kill", nil, &k)
	return k, err
}

// Unkill allows AI traffic again.
func (c *Client) Unkill(ctx context.Context) (k Killed, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/unkill", nil, &k)
	return k, err
}
