package control

import (
	"context"
	"net/http"

	"github.com/hostless/hostless/pkg/prices"
)

// Prices is what the server needs of the price list.
type Prices interface {
	// List returns the prices in use.
	List(ctx context.Context) (PriceList, error)
	// Replace replaces the snapshot in use, permanently.
	Replace(ctx context.Context, s prices.Snapshot) error
}

// PriceList is the response to GET /prices, and PUT /prices after the change.
type PriceList struct {
	Source string          `json:"source"` // "built-in", or the path of the file that replaced it
	Prices []prices.Listed `json:"prices"`
}

func (s *Server) getPrices(w http.ResponseWriter, r *http.Request) {
	list, err := s.prices.List(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, list)
}

func (s *Server) putPrices(w http.ResponseWriter, r *http.Request) {
	var snapshot prices.Snapshot
	err := decode(w, r, &snapshot)
	if err == nil {
		err = s.prices.Replace(r.Context(), snapshot)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.getPrices(w, r)
}

// Prices returns what models cost.
func (c *Client) Prices(ctx context.Context) (l PriceList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/prices", nil, &l)
	return l, err
}

// PutPrices replaces the price snapshot.
func (c *Client) PutPrices(ctx context.Context, s prices.Snapshot) (l PriceList, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/prices", s, &l)
	return l, err
}
