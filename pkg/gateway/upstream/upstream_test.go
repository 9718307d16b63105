package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/netguard"
)

// TestErrors checks the status of each kind of error, and that no message has the text of
// its cause.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{context.DeadlineExceeded, http.StatusGatewayTimeout},
		{&netguard.RefusedError{Host: "h", Why: "a private address"}, http.StatusBadRequest},
		{errors.New("x"), http.StatusBadGateway},
		{io.ErrUnexpectedEOF, http.StatusBadGateway},
	} {
		if got := upstream.Error("p", tt.err); got.Kind.Status() != tt.status || strings.Contains(got.Error(), "EOF") {
			t.Errorf("%v = %d %s", tt.err, got.Kind.Status(), got)
		}
	}
}
