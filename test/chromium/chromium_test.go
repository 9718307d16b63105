package chromium_test

import (
	"bytes"
	"image/png"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hostless/hostless/test/chromium"
)

// TestPage tests everything that other tests rely on.
func TestPage(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(`<!doctype html><meta name="viewport" content="width=device-width"><body>one<script>setTimeout(() => document.body.append(" two"), 50)</script>`))
	}))
	t.Cleanup(srv.Close)
	page := chromium.Start(t, chromium.Options{}).Open(srv.URL)
	page.WaitText("one two")
	if got := page.Eval(`Promise.resolve("a" + "b")`); got != "ab" {
		t.Errorf("a promise's value: %q", got)
	}
	if err := page.TryEval(`nothing.there`, nil); err == nil {
		t.Error("an exception is no error")
	}
	page.Look(400, 300, "dark")
	if got := page.Eval(`innerWidth + (matchMedia("(prefers-color-scheme: dark)").matches ? " dark" : " light")`); got != "400 dark" {
		t.Errorf("the window is %s", got)
	}
	shot, err := png.Decode(bytes.NewReader(page.Screenshot()))
	if err != nil || shot.Bounds().Dx() != 400 {
		t.Errorf("screenshot: %v %v", shot.Bounds(), err)
	}
	if err := page.TryEval(`fetch("http://192.0.2.1/").then(() => "reached")`, nil); err == nil {
		t.Error("the browser reaches other hosts")
	}
	if err := page.TryEval(`fetch("http://example.test/", {mode: "no-cors"}).then(() => "reached")`, nil); err == nil {
		t.Error("the browser resolves names of other hosts")
	}
}
