package httpx_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/hostless/hostless/pkg/httpx"
)

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{"GET": true, "x-a_b.c~1": true, "": false, "a b": false, "a:b": false, "ä": false, "a\x00": false, "(a)": false} {
		if httpx.IsToken(s) != want || httpx.IsToken([]byte(s)) != want {
			t.Errorf("%q: not %v", s, want)
		}
	}
}

func TestIsFieldValue(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\tb é": true, "a\rb": false, "a\nb": false, "\x00": false, "\x7f": false} {
		if httpx.IsFieldValue(s) != want {
			t.Errorf("%q: not %v", s, want)
		}
	}
}

func TestConnection(t *testing.T) {
	h := http.Header{"Connection": {"close, X-One", " x-two ,keep-alive,,Upgrade"}}
	if got := httpx.ConnectionFields(h); !slices.Equal(got, []string{"X-One", "X-Two"}) {
		t.Errorf("%q", got)
	}
	if got := httpx.ConnectionFields(http.Header{"Connection": {"keep-alive"}}); got != nil {
		t.Errorf("%q of a Connection that names none", got)
	}
	for token, want := range map[string]bool{"CLOSE": true, "x-two": true, "x": false, "upgrade": true} {
		if got := httpx.HasToken(h["Connection"], token); got != want {
			t.Errorf("%s: %v", token, got)
		}
	}
	for name, want := range map[string]bool{"Te": true, "Content-Length": true, "Host": false, "Cookie": false} {
		if httpx.HopByHop(name) != want {
			t.Errorf("%s: not %v", name, want)
		}
	}
}
