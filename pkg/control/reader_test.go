package control_test

import (
	"net/http"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
)

// TestReader checks that the client within the process reads like those of the socket,
// and cannot change anything.
func TestReader(t *testing.T) {
	w := newWorld(t, nil)
	c := w.server.Reader(0)
	ctx := t.Context()
	if _, err := c.Status(ctx); err != nil {
		t.Errorf("status: %v", err)
	}
	if _, err := c.Do(ctx, http.MethodGet, "/none", nil, nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("a path that does not exist: %v", err)
	}
	for _, call := range []struct{ method, path string }{
		{"POST", "/auth/token"}, {"POST", "/stop"}, {"DELETE", "/keys/openai"}, {"PUT", "/budgets"}, {"PATCH", "/config"}, {"POST", "/dashboard"},
	} {
		if _, err := c.Do(ctx, call.method, call.path, nil, nil); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s %s: %v", call.method, call.path, err)
		}
	}
	if _, err := c.Do(ctx, http.MethodGet, "/status", map[string]string{"a": "b"}, nil); err == nil {
		t.Error("a GET request with a body is sent")
	}
}
