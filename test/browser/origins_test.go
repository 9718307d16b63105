package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// keep stores a value in every kind of storage that an origin has.
const keep = `(async () => {
	localStorage.setItem("kept", "1");
	sessionStorage.setItem("kept", "1");
	document.cookie = "kept=1; Path=/";
	document.cookie = "wide=1; Path=/; Domain=localhost";
	await new Promise((done, failed) => {
		const open = indexedDB.open("kept", 1);
		open.onupgradeneeded = () => open.result.createObjectStore("things").put("1", "kept");
		open.onsuccess = () => { open.result.close(); done(); };
		open.onerror = () => failed(open.error);
	});
	await (await caches.open("kept")).put("/kept", new Response("1"));
	await navigator.serviceWorker.register("/worker.js");
	await navigator.serviceWorker.ready;
	return "kept";
})()`

// kept returns what an origin finds in its storage.
const kept = `(async () => JSON.stringify({
	local: localStorage.getItem("kept"), cookie: document.cookie,
	databases: (await indexedDB.databases()).map((d) => d.name), caches: await caches.keys(),
	workers: (await navigator.serviceWorker.getRegistrations()).length,
	answer: await (await fetch("/who")).text(),
}))()`

type found struct {
	Local     *string
	Cookie    string
	Databases []string
	Caches    []string
	Workers   int
	Answer    string
}

// keeper is an app that sets its own cookies and a service worker that responds for it.
func keeper(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/worker.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprintf(w, `addEventListener("activate", (e) => e.waitUntil(clients.claim()));
addEventListener("fetch", (e) => { if (new URL(e.request.url).pathname === "/who") e.respondWith(new Response("worker of %s")); });`, name)
		case "/who":
			fmt.Fprintf(w, "server of %s, sent %q", name, r.Header.Get("Cookie"))
		default:
			w.Header().Add("Set-Cookie", "served_by="+name+"; Path=/; SameSite=Lax")
			w.Header().Add("Set-Cookie", "served_wide="+name+"; Path=/; Domain=localhost")
			html(name)(w, r)
		}
	}
}

// TestOriginsKeepToThemselves fills the storage of one app and looks for it from another
// app, and from localhost itself on the same port.
func TestOriginsKeepToThemselves(t *testing.T) {
	d := harness.Start(t)
	a, b := app(t, d, "a", keeper("a")), app(t, d, "b", keeper("b"))
	tab := chromium.Start(t, chromium.Options{}).Open(a)
	if got := tab.Eval(keep); got != "kept" {
		t.Fatal(got)
	}
	tab.Go(a)
	tab.Wait(`navigator.serviceWorker.controller`)
	look := func() (f found) {
		t.Helper()
		if err := json.Unmarshal([]byte(tab.Eval(kept)), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := look(); f.Local == nil || !strings.Contains(f.Cookie, "kept=1") || len(f.Databases) != 1 || len(f.Caches) != 1 || f.Workers != 1 || f.Answer != "worker of a" {
		t.Fatalf("a does not find its own data: %+v", f)
	}
	tab.Go(b)
	// The proxy has turned a cookie for all of localhost, which a browser would reject,
	// into b's own cookie.
	if f := look(); f.Local != nil || f.Cookie != "served_by=b; served_wide=b" || len(f.Databases) != 0 || len(f.Caches) != 0 || f.Workers != 0 || f.Answer != `server of b, sent "served_by=b; served_wide=b"` {
		t.Errorf("b finds data of another app: %+v", f)
	}
	tab.Go(d.URL + "/health")
	if got := tab.Eval(`document.cookie + (localStorage.getItem("kept") ?? "")`); got != "" {
		t.Errorf("localhost finds data of apps: %s", got)
	}
	tab.Go(a)
	if f := look(); f.Local == nil || f.Answer != "worker of a" || strings.Contains(f.Cookie, "b") && strings.Contains(f.Cookie, "served_by=b") {
		t.Errorf("a lost its data, or has b's: %+v", f)
	}
}

// ask calls the gateway as an app's page does, with a preflighted request, and returns
// what the page may read of the response.
func ask(api, token string, extra string) string {
	return fmt.Sprintf(`(async () => {
	try {
		const answer = await fetch(%q, { method: "POST",
			headers: { "Authorization": "Bearer %s", "Content-Type": "application/json", "X-Stainless-Lang": "js" },
			body: JSON.stringify({ model: "echo/text", messages: [{ role: "user", content: "a word of mine" }]%s }) });
		return answer.status + " " + await answer.text();
	} catch (e) { return "failed: " + e; }
})()`, api+"/v1/chat/completions", token, extra)
}

// TestTokenOfAnOrigin uses one app's token from its own page, from another app's page,
// and from a page on another origin.
func TestTokenOfAnOrigin(t *testing.T) {
	d := harness.Start(t)
	a, b := app(t, d, "a", html("a")), app(t, d, "b", html("b"))
	elsewhere := httptest.NewServer(html("elsewhere"))
	t.Cleanup(elsewhere.Close)
	token := d.Must("token", "create", "--name", "a", "--origin", a, "--providers", "echo")
	anyones := d.Must("token", "create", "--name", "any", "--origin", "*")
	tab := chromium.Start(t, chromium.Options{Args: []string{
		"--host-resolver-rules=MAP elsewhere.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
	}}).Tab()
	outside := strings.Replace(elsewhere.URL, "127.0.0.1", "elsewhere.test", 1)

	for _, c := range []struct{ name, page, token, extra, want string }{
		{"its own page", a, token, "", "200 "},
		{"its own page, streamed", a, token, ", stream: true", "200 data: "},
		{"another app's page", b, token, "", "403 "},
		{"bare localhost", d.URL + "/health", token, "", "403 "},
		{"a page on another origin", outside, token, "", "failed: TypeError"},
		{"a page on another origin with an unbound token", outside, anyones, "", "failed: TypeError"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab.Go(c.page)
			got := tab.Eval(ask(d.URL, c.token, c.extra))
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %.300s, want %s…", got, c.want)
			}
			switch {
			case strings.HasPrefix(c.want, "200") && !strings.Contains(got, "a word of mine") && c.extra == "":
				t.Errorf("no echo: %.500s", got)
			case c.want == "200 data: " && !strings.HasSuffix(strings.TrimSpace(got), "data: [DONE]"):
				t.Errorf("the stream does not end: %.500s", got)
			case c.want == "403 " && !strings.Contains(got, `"type":"origin_mismatch"`):
				t.Errorf("got %.300s, want an origin_mismatch", got)
			case c.page != a && strings.Contains(got, "a word of mine"):
				t.Errorf("%s got an answer: %.300s", c.page, got)
			}
		})
	}

	// A request without a preflight must be unreadable on another origin, too.
	tab.Go(outside)
	for _, path := range []string{"/health", "/api/tags", "/v1/models"} {
		if got := tab.Eval(fmt.Sprintf(`fetch(%q).then((a) => "read: " + a.status, (e) => "failed: " + e)`, d.URL+path)); !strings.HasPrefix(got, "failed") {
			t.Errorf("a page on another origin reads %s: %s", path, got)
		}
	}
	// A page of an origin that the user allows may read, and its token works.
	d.Must("origins", "add", outside)
	if got := tab.Eval(ask(d.URL, anyones, "")); !strings.HasPrefix(got, "200 ") {
		t.Errorf("an allowed origin with an unbound token: %.300s", got)
	}
	if got := tab.Eval(ask(d.URL, token, "")); !strings.HasPrefix(got, "403 ") {
		t.Errorf("an allowed origin with the token of a: %.300s", got)
	}
}
