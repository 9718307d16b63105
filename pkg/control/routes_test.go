package control_test

import (
	"slices"
	"testing"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// TestBadRequestTakesNoName checks that an invalid registration is refused before the
// owner of the name loses it.
func TestBadRequestTakesNoName(t *testing.T) {
	bad := map[string]func(*control.RouteRequest){
		"a star in the middle": func(r *control.RouteRequest) { r.AllowedModels = []string{"a*b"} },
		"an empty provider":    func(r *control.RouteRequest) { r.AllowedProviders = []string{""} },
		"a negative rate":      func(r *control.RouteRequest) { r.RateLimit = -1 },
		"a negative time":      func(r *control.RouteRequest) { r.TTL = -1 },
	}
	w := newWorld(t, nil)
	c := control.NewClient(w.socket)
	lease, err := c.Lease(t.Context(), control.RouteRequest{Name: "run", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	if _, err := c.Register(t.Context(), control.RouteRequest{Name: "alias", Port: 5050, Alias: true}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			req := control.RouteRequest{Name: "run", Port: 2, Force: true, AutoToken: true}
			spoil(&req)
			if _, err := c.Lease(t.Context(), req); !fault.Is(err, fault.Invalid) {
				t.Errorf("lease: %v, want %v", err, fault.Invalid)
			}
			req.Name = "alias"
			if _, err := c.Register(t.Context(), req); !fault.Is(err, fault.Invalid) {
				t.Errorf("register: %v, want %v", err, fault.Invalid)
			}
		})
	}
	select {
	case e := <-lease.Events():
		t.Errorf("the run got %+v", e)
	default:
	}
	list, err := c.Routes(t.Context())
	if err != nil || !slices.ContainsFunc(list.Routes, func(r control.Route) bool { return r.AppName == "alias" && r.TargetPort == 5050 }) {
		t.Errorf("routes %+v, %v; want the alias to 5050 still", list.Routes, err)
	}
}
