package gateway

import (
	"encoding/json"
	"net/http"
	"sync/atomic"

	"github.com/hostless/hostless/pkg/fault"
)

// Gateway serves the AI plane. It is an http.Handler, safe for concurrent use.
type Gateway struct {
	cfg      Config
	inFlight atomic.Int64
}

// New makes a gateway.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.withDefaults(); err != nil {
		return nil, err
	}
	return &Gateway{cfg: cfg}, nil
}

// InFlight is how many requests to providers are being served now.
func (g *Gateway) InFlight() int { return int(g.inFlight.Load()) }

// Close ends idle connections to providers and what runs in the background.
// Requests in flight are left to their own contexts.
func (g *Gateway) Close() {}

// ServeHTTP serves one request of bare localhost.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"status": "ok", "version": g.cfg.Version, "service": "hostless"})
		return
	}
	err := fault.New(fault.NotFound, "no such path: "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(err.Kind.Status())
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": err.Error(), "type": err.Kind.Type(), "code": nil, "param": nil}})
}
