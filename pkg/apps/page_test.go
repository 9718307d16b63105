package apps_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/apps"
)

// TestMisdirected: a host that is not ours is told so in the form it asks for,
// and nothing of what there is.
func TestMisdirected(t *testing.T) {
	p := newPlane(t, "")
	if _, err := p.Register(t.Context(), apps.Registration{Name: "private", Port: 3000}); err != nil {
		t.Fatal(err)
	}
	for accept, kind := range map[string]string{
		"text/html,*/*;q=0.8": "text/html; charset=utf-8", "*/*": "application/json", "text/plain": "text/plain; charset=utf-8",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = `<evil>"`
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		p.Misdirected(w, r)
		text := w.Body.String()
		if w.Code != http.StatusMisdirectedRequest || w.Header().Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", accept, w.Code, w.Header().Get("Content-Type"))
		}
		if strings.Contains(text, "private") || !strings.Contains(text, "my-app.localhost") || strings.Contains(text, "<evil>") {
			t.Errorf("%s:\n%s", accept, text)
		}
	}
}
