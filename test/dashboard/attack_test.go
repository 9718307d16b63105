package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// ask sends a request to the daemon's port with any Host.
func ask(t *testing.T, d *harness.Daemon, method, host, path, body string, fields ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://127.0.0.1:"+d.Port+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// TestStolenLink: a link works once, for no program below a run, and under no other host
// name.
func TestStolenLink(t *testing.T) {
	d := harness.Start(t)
	own := "hostless.localhost:" + d.Port
	secret := func() string {
		_, text, _ := strings.Cut(d.Must("dashboard", "--print"), "#")
		body, _ := json.Marshal(map[string]string{"link": text})
		return string(body)
	}
	json := []string{"Content-Type", "application/json"}

	link := secret()
	if code, text := ask(t, d, "POST", own, "/session", link, append(json, "Origin", "http://a.localhost:"+d.Port)...); code != 403 {
		t.Errorf("an app's page exchanges it: %d %s", code, text)
	}
	for _, host := range []string{"localhost:" + d.Port, "evil.test", "a.hostless.localhost:" + d.Port} {
		if code, text := ask(t, d, "POST", host, "/session", link, json...); code < 400 {
			t.Errorf("it works at %s: %d %s", host, code, text)
		}
	}
	if code, text := ask(t, d, "POST", own, "/session", link, json...); code != 200 || !strings.Contains(text, `"session"`) {
		t.Errorf("it does not work: %d %s", code, text)
	}
	if code, text := ask(t, d, "POST", own, "/session", link, json...); code != 401 || !strings.Contains(text, "hostless dashboard") {
		t.Errorf("it works twice: %d %s", code, text)
	}
	if code, _ := ask(t, d, "GET", own, "/", ""); code != 200 {
		t.Errorf("the page itself: %d", code)
	}
	for _, path := range []string{"/rows", "/rows/1", "/parts", "/log", "/status", "/spend", "/auth/tokens"} {
		if code, text := ask(t, d, "GET", own, path, ""); code != 401 {
			t.Errorf("%s without a session: %d %s", path, code, text)
		}
	}
	if r := d.CLI("run", "sly", "--", harness.Bin(t)+"/hostless", "dashboard", "--print"); r.Code == 0 || strings.Contains(r.Stdout, "#") || !strings.Contains(r.Stderr, "hostless run") {
		t.Errorf("a program below a run makes a link: %+v", r)
	}
	stolen := secret()
	if r := d.CLI("run", "sly", "--", "curl", "-s", "-o", "-", "-H", "Host: "+own, "-H", "Content-Type: application/json", "-d", stolen, "http://127.0.0.1:"+d.Port+"/session"); strings.Contains(r.Stdout, `"session"`) || !strings.Contains(r.Stdout, "permission_error") {
		t.Errorf("a program below a run exchanges a link: %+v", r)
	}
	if log := d.Log(); strings.Contains(log, stolen[9:30]) {
		t.Error("the log holds a link")
	}
}

// TestReserved: no app can take the name or a name below it.
func TestReserved(t *testing.T) {
	d := harness.Start(t)
	for _, line := range [][]string{
		{"alias", "hostless", "4999"}, {"alias", "api.hostless", "4999"}, {"route", "add", "hostless", "--port", "4999"}, {"alias", "hostless", "4999", "--force"},
		{"run", "Hostless", "--", "true"}, {"run", "x.hostless", "--", "true"}, {"run", "--name", "hostless", "--", "true"},
	} {
		if r := d.CLI(line...); r.Code != 2 || !strings.Contains(r.Stderr, "Hostless's own page") {
			t.Errorf("%v: exit %d, %s", line, r.Code, r.Stderr)
		}
	}
	for _, body := range []string{`{"name":"hostless","port":4999}`, `{"name":"a.hostless.localhost","port":4999}`, `{"name":"HOSTLESS","port":4999,"force":true}`} {
		resp, err := d.Control().Post("http://hostless/routes/register", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%s: %d", body, resp.StatusCode)
		}
	}
	if code, text := ask(t, d, "GET", "api.hostless.localhost:"+d.Port, "/", ""); code != 404 || !strings.Contains(text, "own page") {
		t.Errorf("below the name: %d %s", code, text)
	}
}

// TestOtherPages: neither an app's page nor a foreign page can read, frame or load it.
func TestOtherPages(t *testing.T) {
	d := harness.Start(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>app</title>an app")
	}))
	t.Cleanup(srv.Close)
	port := srv.URL[strings.LastIndexByte(srv.URL, ':')+1:]
	d.Must("alias", "a", port)
	own := "http://hostless.localhost:" + d.Port
	b := chromium.Start(t, chromium.Options{Args: []string{"--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"}})
	victim := b.Open(d.Must("dashboard", "--print"))
	victim.Wait(`document.getElementById("live").textContent === "Live"`)
	session := victim.Eval(`sessionStorage.getItem("hostless-session")`)

	for _, origin := range []string{"http://a.localhost:" + d.Port, "http://evil.test:" + port} {
		tab := b.Open(origin)
		for _, path := range []string{"/", "/parts", "/page.js"} {
			got := tab.Eval(fmt.Sprintf(`fetch(%q, {headers: {"X-Hostless-Session": %q}}).then((r) => r.text(), () => "blocked")`, own+path, session))
			if got != "blocked" {
				t.Errorf("%s reads %s: %s", origin, path, got)
			}
			got = tab.Eval(fmt.Sprintf(`fetch(%q, {mode: "no-cors", credentials: "include"}).then((r) => r.type, () => "blocked")`, own+path))
			if got == "basic" || got == "cors" {
				t.Errorf("%s reads %s without CORS: %s", origin, path, got)
			}
		}
		got := tab.Eval(fmt.Sprintf(`new Promise((done) => { const f = document.createElement("iframe"); f.onload = () => { try { done(f.contentDocument ? "same" : "shut"); } catch { done("shut"); } }; f.src = %q; document.body.append(f); })`, own+"/"))
		if got != "shut" {
			t.Errorf("%s frames the page: %s", origin, got)
		}
		got = tab.Eval(fmt.Sprintf(`new Promise((done) => { const s = document.createElement("script"); s.type = "module"; s.onload = () => done("loaded"); s.onerror = () => done("blocked"); s.src = %q; document.body.append(s); })`, own+"/page.js"))
		if got != "blocked" {
			t.Errorf("%s loads the script: %s", origin, got)
		}
		got = tab.Eval(fmt.Sprintf(`(() => { const w = open(%q); return new Promise((done) => setTimeout(() => { try { done(String(w.closed || !w.document)); } catch { done("apart"); } }, 1500)); })()`, own+"/"))
		if got == "false" {
			t.Errorf("%s keeps a handle of the page that it opened", origin)
		}
	}
	for _, name := range []string{"cookie", "localStorage.length"} {
		if got := victim.Eval("String(" + map[string]string{"cookie": "document.cookie", "localStorage.length": "localStorage.length"}[name] + ")"); got != "" && got != "0" {
			t.Errorf("the page keeps a %s: %s", name, got)
		}
	}
}
