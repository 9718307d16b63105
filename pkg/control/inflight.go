package control

import (
	"context"
	"net/http"
	"slices"

	"github.com/hostless/hostless/pkg/inflight"
)

// InFlight is the response to GET /inflight.
type InFlight struct {
	Requests []inflight.Request `json:"requests"` // oldest first
}

// getInFlight lists the AI requests in flight. Inside runs it lists only those of the runs'
// apps.
func (s *Server) getInFlight(w http.ResponseWriter, r *http.Request) {
	apps, err := s.appsFor(r, "")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	list := s.inFlight.List()
	if apps != nil {
		list = slices.DeleteFunc(list, func(f inflight.Request) bool { return !slices.Contains(apps, f.App) })
	}
	answer(w, InFlight{Requests: append([]inflight.Request{}, list...)})
}

// InFlight lists the AI requests in flight.
func (c *Client) InFlight(ctx context.Context) (f InFlight, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/inflight", nil, &f)
	return f, err
}
