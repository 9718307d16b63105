package main

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	h, err := newHandler(settings{API: "http://localhost:48282/v1", Token: "sk_local_</script>\u2028"})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body := w.Body.String()
	if w.Code != 200 || !strings.Contains(body, `"api":"http://localhost:48282/v1"`) {
		t.Errorf("GET / = %d, and the page lacks the gateway's address:\n%s", w.Code, body)
	}
	if n := strings.Count(body, "</script>"); n != 2 {
		t.Errorf("the page has %d closing script tags, want 2: a setting ended one", n)
	}
	if got, want := w.Header().Get("Content-Security-Policy"), "connect-src http://localhost:48282;"; !strings.Contains(got, want) {
		t.Errorf("policy %q lacks %q", got, want)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
	for _, ref := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if strings.HasPrefix(ref[1], "data:") {
			continue
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/"+ref[1], nil))
		if w.Code != 200 {
			t.Errorf("GET /%s = %d, want 200: the page needs it", ref[1], w.Code)
		}
	}
}
