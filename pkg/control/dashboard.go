package control

import (
	"context"
	"net/http"
	"time"
)

// DashboardLink is the response to POST /dashboard: a URL that opens the page once.
type DashboardLink struct {
	URL       Secret `json:"url"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// postDashboard makes a link that opens the page at hostless.localhost.
func (s *Server) postDashboard(w http.ResponseWriter, r *http.Request) {
	if err := s.refuseBelow(r, "open the page with the requests of all apps"); err != nil {
		s.fail(w, r, err)
		return
	}
	url, life := s.dashboard()
	answer(w, DashboardLink{URL: url, ExpiresIn: int64(life / time.Second)})
}

// Dashboard makes a link that opens the page once.
func (c *Client) Dashboard(ctx context.Context) (l DashboardLink, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/dashboard", nil, &l)
	return l, err
}
