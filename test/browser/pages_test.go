package browser

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// closedPort returns a port on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// looks lists the window sizes and color schemes in which each page is checked.
var looks = []struct {
	name          string
	width, height int
	scheme        string
}{
	{"light", 1100, 760, "light"},
	{"dark", 1100, 760, "dark"},
	{"narrow", 360, 740, "light"},
	{"narrow-dark", 360, 740, "dark"},
}

// legible fails for text with a contrast below 4.5 to its background (WCAG 2.2, 1.4.3),
// and for a page that is wider than the window.
const legible = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const lum = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
	const below = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
	const bad = [];
	if (document.documentElement.scrollWidth > innerWidth) bad.push("wider than the window: " + document.documentElement.scrollWidth);
	for (const e of document.querySelectorAll("main *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(below(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) bad.push(ratio.toFixed(2) + ": " + e.innerText.slice(0, 40));
	}
	return bad.join("; ");
})()`

// shoot stores a screenshot if HOSTLESS_TEST_SCREENSHOTS names a directory.
func shoot(t *testing.T, tab *chromium.Page, name string) {
	t.Helper()
	for _, look := range looks {
		tab.Look(look.width, look.height, look.scheme)
		if bad := tab.Eval(legible); bad != "" {
			t.Errorf("%s, %s: %s", name, look.name, bad)
		}
		png := tab.Screenshot()
		if dir := os.Getenv("HOSTLESS_TEST_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+look.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestErrorPages opens each error page and checks its text and its appearance in light
// and dark, wide and narrow.
func TestErrorPages(t *testing.T) {
	d := harness.Start(t)
	app(t, d, "shop", html("shop"))
	app(t, d, "api.shop", html("api"))
	closed := closedPort(t)
	d.Must("alias", "gone", closed)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	url := func(name string) string { return "http://" + name + ".localhost:" + d.Port + "/" }

	for _, c := range []struct {
		name string
		says []string
	}{
		{"nothing-here", []string{"nothing-here.localhost", "404", "hostless run nothing-here -- ", "shop", "api.shop"}},
		{"gone", []string{"gone.localhost", "502", closed, "hostless alias gone", "shop"}},
		{strings.Repeat("long-", 12) + "x", []string{"404", "hostless run "}},
	} {
		tab.Go(url(c.name))
		for _, words := range c.says {
			if text := tab.Text(); !strings.Contains(text, words) {
				t.Errorf("the page of %s does not say %q:\n%s", c.name, words, text)
			}
		}
		shoot(t, tab, c.name[:min(len(c.name), 12)])
	}
	tab.Go(url("nothing-here"))
	tab.Eval(`[...document.links].find((a) => a.innerText.includes("api.shop")).click() ?? ""`)
	tab.WaitText("api")
	tab.Wait(`location.hostname === "api.shop.localhost"`)
}

// TestStartingPageBecomesTheApp opens an app that is not listening yet and waits on the
// page until it is. A restart of the daemon in between changes nothing.
func TestStartingPageBecomesTheApp(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "", true: "over a restart"}[restart], func(t *testing.T) {
			d := harness.Start(t)
			fifo := filepath.Join(harness.Home(t), "go")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, d, []string{"APP_WAITS_FOR=" + fifo}, "late", "--", os.Args[0])
			tab := chromium.Start(t, chromium.Options{}).Tab()
			for !strings.Contains(d.Must("list"), "late") {
			}
			tab.Go("http://late.localhost:" + d.Port + "/some/where?x=1")
			for _, words := range []string{"late.localhost", "503"} {
				if text := tab.Text(); !strings.Contains(text, words) {
					t.Errorf("the page does not say %q:\n%s", words, text)
				}
			}
			if !restart {
				shoot(t, tab, "starting")
			} else {
				d.Kill()
				harness.StartIn(t, d.Home, "--port", d.Port)
			}
			f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			tab.WaitText("here at last")
			tab.Wait(`location.href.endsWith("/some/where?x=1")`)
		})
	}
}

// TestEndedPage: the page shows how an app's last run ended.
func TestEndedPage(t *testing.T) {
	d := harness.Start(t)
	tab := chromium.Start(t, chromium.Options{}).Tab()
	if r := d.CLI("run", "broken", "--", "sh", "-c", "echo it cannot be compiled; exit 3"); r.Code != 3 {
		t.Fatalf("exit %d: %s", r.Code, r.Stderr)
	}
	tab.Go("http://broken.localhost:" + d.Port + "/")
	text := tab.Text()
	for _, words := range []string{"ended with exit code 3", "hostless run broken -- "} {
		if !strings.Contains(text, words) {
			t.Errorf("the page does not say %q:\n%s", words, text)
		}
	}
	shoot(t, tab, "ended")
}
