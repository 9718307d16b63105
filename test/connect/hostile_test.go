package connect

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// attacks are the requests that a page on another origin can make without the user, as
// expressions whose value is what the page learns.
var attacks = []struct{ name, expression string }{
	{"fetch GET", `fetch(URL).then(async (a) => "read " + a.status + " " + (await a.text()).slice(0, 40), () => "nothing")`},
	{"fetch POST of JSON", `fetch(URL, {method: "POST", headers: {"Content-Type": "application/json"}, body: BODY}).then(async (a) => "read " + a.status, () => "nothing")`},
	{"fetch POST of text, no-cors", `fetch(URL, {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: BODY}).then((a) => a.type, () => "nothing")`},
	{"fetch GET with credentials, no-cors", `fetch(URL, {mode: "no-cors", credentials: "include"}).then((a) => a.type, () => "nothing")`},
	{"frame", `new Promise((done) => { const f = document.createElement("iframe"); f.onload = () => { let text; try { text = "read " + f.contentDocument.body.innerText.length } catch { text = "nothing" } f.remove(); done(text); }; f.src = URL; document.body.append(f); })`},
	{"form POST into a frame", `new Promise((done) => { const f = document.createElement("iframe"); f.name = "target"; document.body.append(f); const form = document.createElement("form"); form.method = "POST"; form.enctype = "text/plain"; form.target = "target"; form.action = URL; const i = document.createElement("input"); i.name = BODY.slice(0, -1) + ',"x":"'; i.value = '"}'; form.append(i); document.body.append(form); f.onload = () => { let text; try { text = f.contentDocument.URL === "about:blank" ? "nothing" : "read" } catch { text = "nothing" } f.remove(); form.remove(); done(text); }; form.submit(); })`},
	{"script", `new Promise((done) => { const s = document.createElement("script"); s.onload = () => done("ran"); s.onerror = () => done("nothing"); s.src = URL; document.head.append(s); })`},
	{"module script", `import(URL).then((m) => "ran " + Object.keys(m).length, () => "nothing")`},
	{"image", `new Promise((done) => { const i = new Image(); i.onload = () => done("shown"); i.onerror = () => done("nothing"); i.src = URL; })`},
	{"beacon", `Promise.resolve(navigator.sendBeacon(URL, new Blob([BODY], {type: "text/plain"})) ? "sent" : "nothing")`},
	{"WebSocket", `new Promise((done) => { const s = new WebSocket(URL.replace("http", "ws")); s.onopen = () => { s.close(); done("open"); }; s.onerror = () => done("nothing"); })`},
	{"EventSource", `new Promise((done) => { const s = new EventSource(URL); s.onopen = () => { s.close(); done("open"); }; s.onerror = () => { s.close(); done("nothing"); }; })`},
}

// TestHostilePage tries each attack from a page on another origin and from an app's page
// on each URL of localhost that is part of connecting. The user is never asked, and
// nothing can be read except the SDK's modules, which are public.
func TestHostilePage(t *testing.T) {
	d := start(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>evil</title><body>evil")
	}))
	t.Cleanup(srv.Close)
	origin := elsewhere(srv, "evil.test")
	tab := chromium.Start(t, hosts).Open(origin)
	query := "?origin=" + origin + "&callback=" + origin + "/"
	addresses := []string{
		"/auth/register", "/connect" + query, "/connect/wait?id=x", "/callback?code=x&state=y", "/connect.js", "/connect-react.js", "/health",
		"/v1/models", "/auth/token", "/auth/logins", "/approvals", "/origins", "/keys", "/config",
	}
	body := fmt.Sprintf(`{"origin":%q}`, origin)
	table := map[string][]string{}
	for _, a := range attacks {
		for _, address := range addresses {
			expression := fmt.Sprintf("(async () => { const URL = %q, BODY = %q; return await %s; })()", d.URL+address, body, a.expression)
			got := tab.Eval(expression)
			path, _, _ := strings.Cut(address, "?")
			open := strings.HasSuffix(path, ".js") // a module of the SDK
			switch {
			case got == "nothing", got == "sent": // a beacon reveals nothing to its sender
			case open && (strings.HasPrefix(got, "read 200") || strings.HasPrefix(got, "ran")):
			case got == "opaque": // the same for every URL
			default:
				t.Errorf("%s on %s: %s", a.name, path, got)
			}
			if got != "nothing" {
				table[a.name] = append(table[a.name], path+" "+got)
			}
			if list := waiting(t, d); len(list) != 0 {
				t.Errorf("%s on %s makes a request to the user: %+v", a.name, path, list)
				d.Must("deny", list[0].ID)
			}
		}
	}
	if got := d.Must("token", "list", "--json"); !strings.Contains(got, `"tokens":[]`) {
		t.Errorf("a page on another origin made a token: %s", got)
	}
	for _, a := range attacks {
		t.Logf("%-36s %s", a.name, strings.Join(table[a.name], "; "))
	}

	// The one thing that such a page can do is to navigate a tab to /connect, which asks
	// the user in the page's own name.
	tab.Go(d.URL + "/connect" + query)
	tab.WaitText("hostless approve")
	if list := waiting(t, d); len(list) != 1 || list[0].Origin != origin {
		t.Errorf("%+v", list)
	}
	if status, _ := visit(t, d.URL+"/connect?origin=https://bank.example&callback="+origin+"/"); status != 400 {
		t.Errorf("another's name with its own callback: %d", status)
	}
}

// TestRebinding: a host name of the attacker's that resolves to this machine reaches
// nothing.
func TestRebinding(t *testing.T) {
	d := start(t)
	for _, host := range []string{"evil.test", "evil.test:" + d.Port, "localhost.evil.test", "127.0.0.1.evil.test:" + d.Port, "0.0.0.0"} {
		for _, path := range []string{"/auth/register", "/connect?origin=http://evil.test&callback=http://evil.test/", "/connect/wait?id=x", "/connect.js", "/callback?code=a&state=b"} {
			method := http.MethodGet
			if path == "/auth/register" {
				method = http.MethodPost
			}
			req, _ := http.NewRequest(method, "http://127.0.0.1:"+d.Port+path, strings.NewReader(`{"origin":"http://evil.test"}`))
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("Host %s, %s: %d, want 421", host, path, resp.StatusCode)
			}
		}
	}
	if list := waiting(t, d); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestBelowARun: a program that `hostless run` started can send a request, but can
// neither answer it nor use what was granted to an app.
func TestBelowARun(t *testing.T) {
	d := start(t)
	script := `
ask() { curl -s -o /dev/null -w '%{http_code}\n' -X POST -H 'Content-Type: application/json' -d "$1" "$GATEWAY/auth/register"; }
hostless approve "$ID"; echo "approve: $?"
hostless approvals approve "$ID" --remember forever; echo "approvals approve: $?"
hostless deny "$ID"; echo "deny: $?"
hostless auth login openrouter --no-browser; echo "login: $?"
hostless origins remove https://granted.example; echo "origins remove: $?"
curl -s --unix-socket "$SOCK" -d '{"decision":"approve"}' "http://hostless/approvals/$ID"; echo
echo "granted: $(ask '{"origin":"https://granted.example"}')"
echo "asks: $(ask '{"origin":"https://own.example"}')"
`
	register := func(origin string) int {
		resp, err := http.Post(d.URL+"/auth/register", "application/json", strings.NewReader(`{"origin":"`+origin+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	register("https://granted.example")
	d.Must("approve", waiting(t, d)[0].ID, "--remember", "forever")
	if got := register("https://granted.example"); got != 200 {
		t.Fatalf("granted: %d", got)
	}
	register("https://waits.example")
	id := waiting(t, d)[0].ID
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "run", "shop", "--", "sh", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(d.Env, "ID="+id, "GATEWAY="+d.URL, "SOCK="+filepath.Join(d.Home, "control.sock"), "PATH="+harness.Bin(t)+":"+os.Getenv("PATH"))
	harness.Need(t, "curl")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("run: %v", err)
	}
	text := string(out)
	for _, want := range []string{"approve: 1", "approvals approve: 1", "deny: 1", "login: 1", "origins remove: 1", `"type":"permission_error"`, "granted: 403", "asks: 403"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the program's output", want)
		}
	}
	if !strings.Contains(text, "a program that `hostless run` started") {
		t.Errorf("the error does not say why")
	}
	list := d.Must("approvals")
	if !strings.Contains(list, "waits.example") || !strings.Contains(list, "own.example") || !strings.Contains(list, "below run shop.localhost") {
		t.Errorf("what waits:\n%s", list)
	}
	if !strings.Contains(d.Must("origins", "list"), "https://granted.example") {
		t.Error("a grant was removed")
	}
	if t.Failed() {
		t.Log(text)
	}
}
