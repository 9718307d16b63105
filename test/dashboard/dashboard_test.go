// Package dashboard tests the page at hostless.localhost with a real browser: it shows
// what happens, can be used with the keyboard, and shows nothing to others.
package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

// history writes a month of requests into a home's log: some every day, from several apps
// and models, with a few errors.
func history(t *testing.T, home string) {
	t.Helper()
	dir := filepath.Join(home, "requests")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	models := []struct{ provider, model, client string }{
		{"anthropic", "claude-sonnet-4-5-20250929", "Claude Code"}, {"openai", "gpt-5.2", "Codex"}, {"openai", "gpt-5-mini", "openai-python"}, {"google", "gemini-3-pro", "google-genai"},
	}
	apps := []string{"shop", "api.shop", "", "docs-search", "crawler", "triage", "a-rather-long-name-of-an-app"}
	for ago := 29; ago >= 0; ago-- {
		day := time.Now().UTC().AddDate(0, 0, -ago)
		var b strings.Builder
		for i := range 5 + rnd.IntN(20) {
			m, app := models[rnd.IntN(len(models))], apps[rnd.IntN(len(apps))]
			in, out := 500+rnd.IntN(60000), 20+rnd.IntN(3000)
			first := int64(150 + rnd.IntN(2500))
			row := map[string]any{
				"id": fmt.Sprintf("req-%d-%d", ago, i), "time": day.Add(-time.Duration(rnd.IntN(3000)) * time.Second), "app": app, "token": "sk_local_abcd1234", "client": m.client,
				"method": "POST", "dialect": "openai", "endpoint": "/v1/chat/completions", "path": "/v1/chat/completions", "model": m.model, "resolved_model": m.model, "provider": m.provider,
				"status": 200, "error_kind": "", "stream": true, "first_byte_ms": first, "duration_ms": first + int64(rnd.IntN(30000)),
				"tokens": map[string]int{"input": in, "cached": in / 2, "output": out, "reasoning": out / 3}, "cost_usd": fmt.Sprintf("%.9f", float64(in)*1.25e-6+float64(out)*1e-5), "priced": true,
				"price": map[string]string{"input": "1.25", "cached": "0.125", "output": "10"}, "ignored": []string{},
				"attempts": []any{map[string]any{"provider": m.provider, "model": m.model, "status": 200, "duration_ms": 900}},
			}
			if rnd.IntN(9) == 0 {
				row["status"], row["error_kind"], row["cost_usd"], row["tokens"] = 429, "provider_rate_limited", "0", map[string]int{}
				row["attempts"] = []any{map[string]any{"provider": m.provider, "model": m.model, "status": 429, "error_kind": "provider_rate_limited", "duration_ms": 300}}
			}
			line, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(line, '\n'))
		}
		if err := os.WriteFile(filepath.Join(dir, day.Format(time.DateOnly)+".jsonl"), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a daemon with a provider that responds.
func start(t *testing.T, past bool, args ...string) (*harness.Daemon, string) {
	t.Helper()
	home := harness.Home(t)
	if past {
		history(t, home)
	}
	d := harness.StartIn(t, home, args...)
	openai := standin.Chat(t, "sk-real")
	d.Must("keys", "add", "openai", "sk-real", "--base-url", openai.URL)
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(d.Must("token", "create", "--name", "tester", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	return d, token.Token
}

// chat sends a request to a model through the gateway and reads the whole response.
func chat(t *testing.T, d *harness.Daemon, token, model string) int {
	t.Helper()
	req, _ := http.NewRequest("POST", d.URL+"/v1/chat/completions", strings.NewReader(`{"model":"`+model+`","stream":true,"messages":[{"role":"user","content":"hello"}]}`))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}

// looks lists the windows in which the page is checked.
var looks = []struct {
	name          string
	width, height int
	scheme        string
}{
	{"wide-light", 1440, 1000, "light"}, {"wide-dark", 1440, 1000, "dark"}, {"phone-light", 360, 780, "light"}, {"phone-dark", 360, 780, "dark"},
	{"narrow-light", 320, 640, "light"}, {"narrow-dark", 320, 640, "dark"}, {"tablet", 900, 1100, "dark"}, {"4k-light", 3840, 2160, "light"}, {"4k-dark", 3840, 2160, "dark"},
}

// legible fails for text with a contrast below 4.5 to its background (WCAG 2.2, 1.4.3),
// for controls without a name, and for a page that is wider than the window.
const legible = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const lum = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
	const below = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
	const bad = new Set();
	if (document.documentElement.scrollWidth > innerWidth) bad.add("wider than the window: " + document.documentElement.scrollWidth);
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(below(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) bad.add(ratio.toFixed(2) + ": " + e.innerText.slice(0, 40));
	}
	for (const e of document.querySelectorAll("button, input, select, a")) {
		if (!(e.getAttribute("aria-label") || e.textContent || e.labels?.length)) bad.add("no name: " + e.outerHTML.slice(0, 80));
	}
	return [...bad].slice(0, 8).join("; ");
})()`

// shoot checks the page in each window, and stores screenshots if
// HOSTLESS_TEST_SCREENSHOTS names a directory.
func shoot(t *testing.T, tab *chromium.Page, name string) {
	t.Helper()
	for _, look := range looks {
		tab.Look(look.width, look.height, look.scheme)
		if bad := tab.Eval(legible); bad != "" {
			t.Errorf("%s, %s: %s", name, look.name, bad)
		}
		if dir := os.Getenv("HOSTLESS_TEST_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+look.name+".png"), tab.Screenshot(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	tab.Look(1440, 1000, "light")
}

func rowsWith(words string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].filter((r) => r.innerText.includes(%q))`, words)
}

// press sends a key press to the page.
func press(tab *chromium.Page, key, code string, number int) {
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		tab.Call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number}, nil)
	}
}

// TestPage opens the page with its link and sees a request arrive.
func TestPage(t *testing.T) {
	d, token := start(t, true)
	d.Must("alias", "shop", "4999")
	link := d.Must("dashboard", "--print")
	if want := "http://hostless.localhost:" + d.Port + "/#"; !strings.HasPrefix(link, want) || strings.Contains(link, "\n") {
		t.Fatalf("the link is %q, want %s…", link, want)
	}
	tab := chromium.Start(t, chromium.Options{}).Open(link)
	tab.Wait(`document.getElementById("live").textContent === "Live"`)
	tab.Wait(`document.querySelector("#spend svg rect")`)
	if got := tab.Eval("location.href"); got != "http://hostless.localhost:"+d.Port+"/" {
		t.Errorf("the secret stays in the address: %s", got)
	}
	if code := chat(t, d, token, "gpt-4o-mini"); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	tab.Wait(rowsWith("gpt-4o-mini") + `.length === 1`)
	tab.Wait(rowsWith("tester") + `.length === 1`)
	shoot(t, tab, "page")
}

// TestHands uses the page with the keyboard: filters, moving between rows, the details of
// a request and back.
func TestHands(t *testing.T) {
	d, token := start(t, true)
	d.Must("run", "worker", "--detach", "--", "sh", "-c", "echo line one; echo '<b>line two</b>'; exec sleep 600")
	tab := chromium.Start(t, chromium.Options{}).Open(d.Must("dashboard", "--print"))
	tab.Wait(`document.querySelectorAll("#rows tr").length > 100`)

	tab.Call("Page.bringToFront", nil, nil)
	press(tab, "/", "Slash", 191)
	tab.Wait(`document.activeElement.name === "app"`)
	tab.Call("Input.insertText", map[string]any{"text": "shop"}, nil)
	tab.Wait(`document.querySelectorAll("#rows tr").length > 3 && [...document.querySelectorAll("#rows small")].every((s) => s.innerText.startsWith("shop"))`)
	tab.Eval(`(document.querySelector("#filters select").value = "4xx", document.querySelector("#filters").dispatchEvent(new Event("input")), "")`)
	tab.Wait(`document.querySelectorAll("#rows tr").length > 0 && [...document.querySelectorAll("#rows .status")].every((s) => s.innerText === "429")`)
	tab.Eval(`(document.querySelector("#filters button").click(), "")`)
	tab.Wait(`document.querySelectorAll("#rows tr").length > 100`)
	chat(t, d, token, "gpt-4o-mini")
	tab.Wait(rowsWith("gpt-4o-mini") + `.length === 1`)

	tab.Wait(`document.querySelectorAll("#rows [tabindex='0']").length === 1`)
	tab.Eval(`(document.querySelector("#rows [tabindex='0']").focus(), "")`)
	press(tab, "Home", "Home", 36)
	press(tab, "ArrowDown", "ArrowDown", 40)
	press(tab, "ArrowUp", "ArrowUp", 38)
	tab.Wait(`document.activeElement.closest("tr") === document.querySelector("#rows tr")`)
	tab.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}, nil)
	tab.Wait(`document.getElementById("detail").open`)
	for _, words := range []string{"openai/gpt-4o-mini", "POST /v1/chat/completions", "tester", "hostless log show"} {
		tab.Wait(`document.getElementById("detail").innerText.includes("` + words + `")`)
	}
	shoot(t, tab, "detail")
	press(tab, "Escape", "Escape", 27)
	tab.Wait(`!document.getElementById("detail").open && document.activeElement.closest("tr") === document.querySelector("#rows tr")`)

	tab.Wait(`document.querySelector("#app-worker")`)
	tab.Eval(`(document.querySelector("#app-worker summary").click(), document.querySelector("#apps").scrollIntoView(), "")`)
	tab.Wait(`document.querySelector("#app-worker pre")?.innerText.includes("<b>line two</b>")`)
	shoot(t, tab, "apps")
	d.Must("stop", "worker")
}

// TestClosed: without a session the page shows nothing, and when a session ends it says
// so.
func TestClosed(t *testing.T) {
	d, _ := start(t, false)
	b := chromium.Start(t, chromium.Options{})
	address := "http://hostless.localhost:" + d.Port + "/"
	tab := b.Open(address)
	tab.WaitText("hostless dashboard")
	shoot(t, tab, "closed")
	link := d.Must("dashboard", "--print")
	tab.Eval("(location.href = " + strconv.Quote(link) + `, "")`) // the same page: it is not reloaded
	tab.Wait(`document.getElementById("live").textContent === "Live"`)
	shoot(t, tab, "first")
	tab.Go(address) // the tab has a session
	tab.Wait(`document.getElementById("live").textContent === "Live"`)
	stolen := b.Open(link)
	stolen.WaitText("already been used")
	d.Stop()
	harness.StartIn(t, d.Home, "--port", d.Port)
	tab.Call("Page.bringToFront", nil, nil) // a hidden tab does not poll
	tab.WaitText("The session has ended")
}

// TestPlanes switches to the requests to apps and back, and shows a request to a model
// while it is in progress.
func TestPlanes(t *testing.T) {
	home := harness.Home(t)
	history(t, home)
	d := harness.StartIn(t, home)
	done := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 20 {
			fmt.Fprint(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x \"},\"finish_reason\":null}]}\n\n")
		}
		w.(http.Flusher).Flush()
		select {
		case <-done:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(slow.Close)
	answer := sync.OnceFunc(func() { close(done) })
	t.Cleanup(answer) // before the stand-in waits for it
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(app.Close)
	d.Must("keys", "add", "openai", "sk-real", "--base-url", slow.URL)
	d.Must("keys", "add", "openai", "sk-other", "--label", "work", "--base-url", slow.URL)
	d.Must("model", "alias", "fast", "gpt-5-mini,claude-haiku-4-5,ollama/qwen3")
	d.Must("alias", "shop", app.URL[strings.LastIndexByte(app.URL, ':')+1:])
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(d.Must("token", "create", "--name", "tester", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	tab := chromium.Start(t, chromium.Options{}).Open(d.Must("dashboard", "--print"))
	tab.Wait(`document.querySelectorAll("#rows tr").length > 100`)
	asked := make(chan int, 1)
	go func() { asked <- chat(t, d, token.Token, "gpt-4o-mini") }()
	tab.Wait(`document.querySelector("#flights")?.innerText.includes("openai/gpt-4o-mini") && document.querySelector("#flights").innerText.includes("tester")`)
	tab.Wait(`document.querySelector("#flights").innerText.includes("20") && document.getElementById("flying").innerText === "1 in flight"`)
	tab.Wait(`document.getElementById("aliases").innerText.includes("ollama/qwen3") && document.getElementById("providers").innerText.includes("work")`)
	shoot(t, tab, "flight")
	answer()
	if code := <-asked; code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	tab.Wait(`document.querySelector("#flights").children.length === 0 && document.getElementById("flying").innerText === ""`)
	tab.Wait(rowsWith("tester") + `.length === 1`)

	tab.Eval(`(document.querySelector('#plane [value="apps"]').click(), "")`)
	tab.Wait(`document.querySelectorAll("#rows tr").length === 0 && document.querySelector("#none").innerText.includes("hostless run")`)
	for i := range 12 {
		if code, text := ask(t, d, "GET", "shop.localhost:"+d.Port, fmt.Sprintf("/cart/%d?secret=1", i), ""); code != http.StatusTeapot {
			t.Fatalf("%d %s", code, text)
		}
	}
	tab.Wait(rowsWith("GET /cart/11") + `.length === 1`)
	if text := tab.Text(); strings.Contains(text, "secret") || strings.Contains(text, "FIRST BYTE") || strings.Contains(text, "First byte\tTook") {
		t.Errorf("the apps' list shows %s", text)
	}
	tab.Wait(`document.querySelector("#filters [name=model]").disabled && !document.querySelector("#filters [name=model]").checkVisibility()`)
	shoot(t, tab, "apps-plane")
	tab.Eval(`(document.querySelector("#rows button").click(), "")`)
	tab.Wait(`document.getElementById("detail").open && document.getElementById("detail").innerText.includes("hostless log --apps --app shop")`)
	press(tab, "Escape", "Escape", 27)
	tab.Eval(`(document.querySelector('#plane [value="ai"]').click(), "")`)
	tab.Wait(rowsWith("tester") + `.length === 1`)
}

// TestRestart: an open tab continues with the daemon that takes over, and shows its new
// rows.
func TestRestart(t *testing.T) {
	d, token := start(t, false)
	t.Cleanup(func() { d.CLI("stop") })
	tab := chromium.Start(t, chromium.Options{}).Open(d.Must("dashboard", "--print"))
	tab.Call("Page.bringToFront", nil, nil)
	tab.Wait(`document.getElementById("live").textContent === "Live"`)
	for i, model := range []string{"gpt-4o-mini", "gpt-4o"} {
		before := d.Must("status", "--json")
		d.Must("proxy", "restart")
		if after := d.Must("status", "--json"); after == before {
			t.Fatalf("no other daemon serves: %s", after)
		}
		http.DefaultClient.CloseIdleConnections() // the earlier daemon may close them while a request is sent
		if code := chat(t, d, token, model); code != http.StatusOK {
			t.Fatalf("restart %d: status %d", i, code)
		}
		tab.Wait(`[...document.querySelectorAll("#rows b")].filter((b) => b.innerText === "openai/` + model + `").length === 1`)
		tab.Wait(`document.getElementById("live").textContent === "Live" && !document.getElementById("open").hidden`)
	}
}

// TestSecure opens the page over https: the link, the session and the live rows.
func TestSecure(t *testing.T) {
	d, token := start(t, false)
	t.Cleanup(func() { d.CLI("stop") })
	d.Must("config", "set", "tls", "on")
	d.Must("proxy", "restart")
	home := harness.Home(t)
	chromium.Trust(t, d, home)
	link := d.Must("dashboard", "--print")
	if want := "https://hostless.localhost:" + d.Port + "/#"; !strings.HasPrefix(link, want) {
		t.Fatalf("the link is %q, want %s…", link, want)
	}
	tab := chromium.Start(t, chromium.Options{Home: home}).Open(link)
	tab.Wait(`document.getElementById("live").textContent === "Live"`)
	if got := tab.Eval(`performance.getEntriesByType("navigation")[0].nextHopProtocol`); got != "h2" {
		t.Errorf("the page came over %s, want h2", got)
	}
	chat(t, d, token, "gpt-4o-mini")
	tab.Wait(rowsWith("gpt-4o-mini") + `.length === 1`)
	d.Must("proxy", "restart")
	chat(t, d, token, "gpt-4o")
	tab.Wait(`[...document.querySelectorAll("#rows b")].some((b) => b.innerText === "openai/gpt-4o")`)
	tab.Wait(`document.getElementById("live").textContent === "Live"`)
}
