package http1_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/apps/http1"
)

// TestDetectKeepsTheHeader detects that an app speaks TLS, from its refusal of plain HTTP.
// The header must not keep the refusal's fields, and must keep those that it had before.
func TestDetectKeepsTheHeader(t *testing.T) {
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-App", "yes")
		io.WriteString(w, "secure")
	}))
	defer app.Close()
	target, err := http1.ParseTarget(strings.TrimPrefix(app.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	u := http1.New(http1.Config{Detect: true})
	header := http.Header{"Connection": {"close"}}
	resp, err := u.RoundTrip(t.Context(), &http1.Request{Target: target, Method: "GET", URI: "/", Host: target.Host}, header)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Finish()
	if resp.Status != 200 || string(text) != "secure" || err != nil {
		t.Errorf("status %d, %q, %v", resp.Status, text, err)
	}
	if header.Get("Connection") != "close" || header.Get("X-App") != "yes" || header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("header %v", header)
	}
}
