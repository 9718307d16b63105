package connect

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

// start runs a daemon that only asks in the terminal, on any machine.
func start(t *testing.T) *harness.Daemon {
	t.Helper()
	d := harness.Start(t)
	d.Must("config", "set", "approval-dialog", "off")
	return d
}

// waiting returns the pending requests.
func waiting(t *testing.T, d *harness.Daemon) (list []struct{ ID, Origin, Process string }) {
	t.Helper()
	var answer struct {
		Approvals []struct{ ID, Origin, Process string }
	}
	if err := json.Unmarshal([]byte(d.Must("approvals", "--json")), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Approvals
}

// answer answers the one pending request as the user.
func answer(t *testing.T, d *harness.Daemon, origin string, command ...string) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		if list := waiting(t, d); len(list) == 1 {
			if list[0].Origin != origin || !strings.Contains(list[0].Process, "chrom") {
				t.Fatalf("%+v waits, want a request of %s through chromium", list, origin)
			}
			d.Must(append([]string{command[0], list[0].ID}, command[1:]...)...)
			return
		}
		if time.Now().After(end) {
			t.Fatal("no request waits")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func serve(t *testing.T, page func() string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, page())
	}))
	t.Cleanup(srv.Close)
	return srv
}

func chatPage(t *testing.T, d *harness.Daemon) func() string {
	t.Helper()
	data, err := os.ReadFile("testdata/page.html")
	if err != nil {
		t.Fatal(err)
	}
	return func() string { return strings.ReplaceAll(string(data), "DAEMON", d.URL) }
}

// hosts are names of pages on other origins, served on this machine.
var hosts = chromium.Options{Args: []string{
	"--host-resolver-rules=MAP app.test 127.0.0.1, MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
}}

func elsewhere(srv *httptest.Server, name string) string {
	return strings.Replace(srv.URL, "127.0.0.1", name, 1)
}

const click = `(document.getElementById("connect").click(), "")`

// shoot stores a screenshot if requested.
func shoot(t *testing.T, tab *chromium.Page, name string) {
	t.Helper()
	for _, look := range []struct {
		width, height int
		scheme        string
	}{{1000, 760, "light"}, {1000, 760, "dark"}, {390, 800, "light"}} {
		tab.Look(look.width, look.height, look.scheme)
		if wide := tab.Eval(`String(document.documentElement.scrollWidth > innerWidth)`); wide == "true" {
			t.Errorf("%s at %d pixels scrolls sideways", name, look.width)
		}
		png := tab.Screenshot()
		if dir := os.Getenv("HOSTLESS_TEST_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, look.width, look.scheme)), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHostedPage: the button on a page of another origin opens the daemon's page; after
// the answer in a terminal it redirects back, and the page streams from a model.
func TestHostedPage(t *testing.T) {
	d := start(t)
	origin := elsewhere(serve(t, chatPage(t, d)), "app.test")
	tab := chromium.Start(t, hosts).Open(origin + "/chat?room=1")
	tab.Wait("window.ready")
	tab.Eval(click)
	tab.WaitText("hostless approve")
	if at := tab.Eval("location.origin"); at != d.URL {
		t.Fatalf("the page that waits is at %s", at)
	}
	for _, words := range []string{origin, "echo/*", "50 requests an hour", origin + "/chat", "chrom"} {
		if !strings.Contains(tab.Text(), words) {
			t.Errorf("the page does not say %q:\n%s", words, tab.Text())
		}
	}
	shoot(t, tab, "connect")
	answer(t, d, origin, "approve", "--rate-limit", "20")
	tab.WaitText("streamed in many pieces")
	if got := tab.Eval(`location.href + " " + document.getElementById("answer").textContent`); !strings.HasPrefix(got, origin+"/chat ") || !strings.Contains(got, "one two three four") {
		t.Errorf("%s", got)
	}
	tokens := d.Must("token", "list")
	if !strings.Contains(tokens, origin) || !strings.Contains(tokens, "20/h") || !strings.Contains(tokens, "echo/*") {
		t.Errorf("the token is not the one that was allowed:\n%s", tokens)
	}

	// A denial redirects back as well.
	tab.Go(origin + "/chat")
	tab.Wait("window.ready")
	tab.Eval(`(localStorage.clear(), "")`)
	tab.Eval(click)
	tab.WaitText("hostless approve")
	answer(t, d, origin, "deny")
	tab.WaitText("failed: denied")
	if got := tab.Eval("location.href"); got != origin+"/chat" {
		t.Errorf("the answer stays in the address: %s", got)
	}

	// A remembered origin gets a token without a question. After `origins remove` the
	// token is revoked.
	tab.Eval(click)
	tab.WaitText("hostless approve")
	answer(t, d, origin, "approve", "--remember", "30d")
	tab.WaitText("streamed in many pieces")
	tab.Go(origin + "/chat")
	tab.Wait("window.ready")
	tab.Eval(click)
	tab.WaitText("streamed in many pieces")
	if list := d.Must("origins", "list"); !strings.Contains(list, origin) || !strings.Contains(list, "30d") {
		t.Errorf("the grant is not listed:\n%s", list)
	}
	d.Must("origins", "remove", origin)
	if tokens := d.CLI("token", "list"); strings.Contains(tokens.Stdout, origin) {
		t.Errorf("tokens outlive the origin:\n%s", tokens.Stdout)
	}
	tab.Eval(click)
	tab.WaitText("hostless approve")
}

// TestExample connects examples/connect, served from another origin, and chats on it.
func TestExample(t *testing.T) {
	d := start(t)
	data, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "connect", "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(data), "http://localhost:48282/") != 1 {
		t.Fatal("the example does not load the SDK from the daemon")
	}
	origin := elsewhere(serve(t, func() string { return strings.ReplaceAll(string(data), "http://localhost:48282", d.URL) }), "app.test")
	tab := chromium.Start(t, hosts).Open(origin)
	tab.WaitText("Not connected.")
	tab.Eval(click)
	answer(t, d, origin, "approve")
	tab.WaitText("Connected to " + d.URL)
	tab.Eval(`(document.querySelector("#chat button").click(), "")`)
	tab.Wait(`document.getElementById("answer").textContent.includes("Hello from a hosted page")`)
	shoot(t, tab, "example")
	tab.Eval(`(document.getElementById("forget").click(), "")`)
	tab.WaitText("Not connected.")
}

// TestAppPage: the same on NAME.localhost, with fetch; the page itself shows the command
// to type.
func TestAppPage(t *testing.T) {
	d := start(t)
	srv := serve(t, chatPage(t, d))
	d.Must("alias", "a", srv.URL[strings.LastIndexByte(srv.URL, ':')+1:])
	origin := "http://a.localhost:" + d.Port
	tab := chromium.Start(t, hosts).Open(origin)
	tab.Wait("window.ready")
	tab.Eval(click)
	tab.WaitText("pending: hostless approve")
	answer(t, d, origin, "approve")
	tab.WaitText("streamed in many pieces")
	if got := tab.Eval(`document.getElementById("answer").textContent`); !strings.Contains(got, "one two three four") {
		t.Errorf("%s", got)
	}
	tab.Eval(click)
	tab.WaitText("pending: hostless approve")
	answer(t, d, origin, "deny")
	tab.WaitText("failed: denied User denied access")
}

// bundled serves a script of testdata, bundled with its imports, as an app.
func bundled(t *testing.T, d *harness.Daemon, name string) (origin string) {
	t.Helper()
	dir := project(t, name)
	output(t, dir, tool(t, "esbuild"), name, "--bundle", "--format=esm", "--jsx=automatic", "--outfile=out.js", "--preserve-symlinks", "--log-level=warning")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/out.js" {
			http.ServeFile(w, r, filepath.Join(dir, "out.js"))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!doctype html><title>app</title><body><script type="module" src="/out.js"></script>`)
	}))
	t.Cleanup(srv.Close)
	app := strings.TrimSuffix(strings.TrimSuffix(name, ".js"), ".jsx")
	d.Must("alias", app, srv.URL[strings.LastIndexByte(srv.URL, ':')+1:])
	return "http://" + app + ".localhost:" + d.Port
}

// TestProvidersSDKs: the SDKs of OpenAI and Anthropic work in the page with the options
// from the connect SDK.
func TestProvidersSDKs(t *testing.T) {
	d := start(t)
	for name, s := range map[string]*standin.Server{
		"openai": standin.OpenAI(t, "sk-proj-canary-openai-000000000000"), "anthropic": standin.Anthropic(t, "sk-ant-canary-0000000000000000"),
	} {
		if r := d.CLIWith(s.Key, "keys", "add", name, "-", "--base-url", s.URL); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	origin := bundled(t, d, "sdks.js")
	tab := chromium.Start(t, hosts).Open(origin)
	tab.Wait("window.ready")
	tab.Eval(`(window.result = window.chat().catch((e) => "failed: " + e), "")`)
	answer(t, d, origin, "approve")
	if got := tab.Eval("window.result"); !strings.Contains(got, "said to openai") || !strings.Contains(got, "| ") || !strings.HasSuffix(got, "said to anthropic") {
		t.Errorf("%s", got)
	}
	var list struct {
		Tokens []struct {
			Prefix string `json:"token_prefix"`
		}
	}
	if err := json.Unmarshal([]byte(d.Must("token", "list", "--json")), &list); err != nil || len(list.Tokens) != 1 {
		t.Fatal(err, list)
	}
	d.Must("token", "revoke", list.Tokens[0].Prefix)
	if got := tab.Eval("window.again()"); got != "expired false" {
		t.Errorf("after the token was revoked: %s", got)
	}
}

// TestReact renders the component and clicks it.
func TestReact(t *testing.T) {
	d := start(t)
	origin := bundled(t, d, "react.jsx")
	tab := chromium.Start(t, hosts).Open(origin)
	tab.WaitText("Not connected to Hostless.")
	press := func(label string) {
		t.Helper()
		tab.Wait(fmt.Sprintf(`[...document.querySelectorAll("button")].some((b) => b.textContent === %q && !b.disabled)`, label))
		tab.Eval(fmt.Sprintf(`([...document.querySelectorAll("button")].find((b) => b.textContent === %q).click(), "")`, label))
	}
	press("Connect to Hostless")
	tab.WaitText("Waiting for your answer. In a terminal: hostless approve ")
	answer(t, d, origin, "approve")
	tab.WaitText("Connected: " + d.URL)
	press("Forget Hostless")
	tab.WaitText("Not connected to Hostless.")
	press("Connect to Hostless")
	answer(t, d, origin, "deny")
	tab.WaitText("User denied access")
	if got := tab.Eval(`window.events.join(", ")`); got != "connected "+d.URL+", disconnected, error denied" {
		t.Errorf("events: %s", got)
	}
}
