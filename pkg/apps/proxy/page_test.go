package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/apps/routes"
)

// TestMisdirected: a request for a host name that is not ours gets an error in the format
// that it accepts, and learns nothing about the apps.
func TestMisdirected(t *testing.T) {
	p := newPlane(t)
	if _, err := p.Register(t.Context(), routes.Registration{Name: "private", Port: 3000}); err != nil {
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

// TestNamesThatCannotBe: the page never suggests a command with an invalid name.
func TestNamesThatCannotBe(t *testing.T) {
	p := newPlane(t)
	for _, host := range []string{"my_app.localhost", "-a.localhost", "a-.localhost"} {
		text := body(t, get(t, p, host+"/", nil))
		if strings.Contains(text, "hostless run") || !strings.Contains(text, "is not a name for an app") {
			t.Errorf("%s:\n%s", host, text)
		}
	}
}

// TestPagesOfHostileApps: whatever an app prints or is named, its pages stay small and
// contain no control characters or markup from it.
func TestPagesOfHostileApps(t *testing.T) {
	p := newPlane(t)
	for i := range 40 {
		name := strings.Repeat(fmt.Sprintf("%c%d.", 'a'+i%26, i), 50) + "x"
		if _, err := p.Register(t.Context(), routes.Registration{Name: name, Target: "https://" + name + ".example/" + strings.Repeat("%3C", 300)}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Register(t.Context(), routes.Registration{Name: "paths", Port: 3000, PathPrefix: fmt.Sprintf("/%d%s", i, strings.Repeat("<", 500))}); err != nil {
			t.Fatal(err)
		}
	}
	hostile := "\x1b]0;title\x07\x1b[31m<script>\"&'\u009b31m\xff" + strings.Repeat("<", 1000)
	lease, err := p.Lease(t.Context(), routes.Registration{Name: "hostile", Port: 3000, Command: hostile, Directory: hostile})
	if err != nil {
		t.Fatal(err)
	}
	one, log := 1, make([]string, 100)
	for i := range log {
		log[i] = hostile
	}
	if err := lease.Update(routes.Update{State: routes.StateExited, Exit: &one, Log: log}); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		for _, accept := range []string{"text/html", "application/json", "text/plain"} {
			for _, url := range []string{"hostile.localhost/", "paths.localhost/", "nope.localhost/"} {
				resp := get(t, p, url, http.Header{"Accept": {accept}})
				text := body(t, resp)
				if len(text) > 20<<10 || len(text) < 100 {
					t.Errorf("round %d, %s, %s: %d bytes", round, url, accept, len(text))
				}
				if strings.ContainsAny(text, "\x1b\x07\u009b") || !utf8.ValidString(text) || accept != "text/plain" && strings.Contains(text, "<script") {
					t.Errorf("round %d, %s, %s: not plain", round, url, accept)
				}
			}
		}
		lease.Release() // the name has a past run afterwards
	}
}

// TestClosedWithoutAnAnswer: TLS servers close the connection on a plain request.
func TestClosedWithoutAnAnswer(t *testing.T) {
	p := newPlane(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	if _, err := p.Register(t.Context(), routes.Registration{Name: "tls", Port: port}); err != nil {
		t.Fatal(err)
	}
	resp := get(t, p, "tls.localhost/", nil)
	if want := fmt.Sprintf("hostless alias --force --insecure tls https://localhost:%d", port); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body(t, resp), want) {
		t.Errorf("%d, without %q", resp.StatusCode, want)
	}
}
