// Package frameworks runs the dev servers of real frameworks with `hostless run` and
// tests them with a real browser: opened at NAME.localhost while they start, with live
// changes, and stopped as by Ctrl-C.
//
// HOSTLESS_TEST_FRAMEWORKS=all includes the frameworks that take long to install.
package frameworks

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	harness.Main(m)
}

// framework describes a minimal app in testdata and how it is run and changed.
type framework struct {
	name    string
	command []string // nil means npm run dev; "python:NAME" as the first word is a program in its virtual environment
	path    string   // path of the page
	source  string   // the file that contains the words
	frame   string   // selector of the frame that shows the words, or ""
	// live means that the page updates itself when its source changes; otherwise the test
	// reloads it.
	live bool
	rest bool // only tested with HOSTLESS_TEST_FRAMEWORKS=all
}

var frameworks = []framework{
	{name: "next", source: "app/page.js", live: true},
	{name: "astro", source: "src/pages/index.astro", live: true},
	{name: "react", source: "App.jsx", live: true},
	{name: "webpack", source: "main.js", live: true},
	{name: "django", command: []string{"python:python", "manage.py", "runserver"}, source: "urls.py"},
	{name: "flask", command: []string{"python:flask", "--app", "app", "run", "--debug"}, source: "app.py"},
	{name: "watch", command: []string{"node", "--watch", "server.js"}, source: "server.js"},

	{name: "vue", source: "App.vue", live: true, rest: true},
	{name: "rsbuild", source: "src/index.js", live: true, rest: true},
	{name: "parcel", source: "main.js", live: true, rest: true},
	{name: "vitepress", source: "docs/index.md", live: true, rest: true},
	{name: "svelte", source: "src/routes/+page.svelte", live: true, rest: true},
	{name: "router", source: "app/home.jsx", live: true, rest: true},
	{name: "nuxt", source: "app.vue", live: true, rest: true},
	{name: "angular", source: "src/main.ts", live: true, rest: true},
	{name: "storybook", source: "words.stories.js", path: "?path=/story/words--heading", frame: "iframe#storybook-preview-iframe", live: true, rest: true},
	{name: "wrangler", source: "src/index.js", rest: true},
	{name: "hugo", command: []string{"hugo", "server"}, source: "layouts/index.html", rest: true},
	{name: "rails", command: []string{"rails", "server"}, source: "config/routes.rb", rest: true},
	{name: "fastapi", command: []string{"python:uvicorn", "main:app", "--reload"}, source: "main.py", rest: true},
	{name: "php", command: []string{"php", "-S", "localhost:8000"}, source: "index.php", rest: true},
	{name: "php-port", command: []string{"php", "-S"}, source: "index.php", rest: true},
}

// quiet keeps dev servers from sending telemetry and from opening a browser.
var quiet = []string{"NEXT_TELEMETRY_DISABLED=1", "ASTRO_TELEMETRY_DISABLED=1", "NUXT_TELEMETRY_DISABLED=1", "STORYBOOK_DISABLE_TELEMETRY=1", "NG_CLI_ANALYTICS=false", "BROWSER=none", "CI=", "WRANGLER_SEND_METRICS=false", "PYTHONDONTWRITEBYTECODE=1", "NPM_CONFIG_UPDATE_NOTIFIER=false"}

// output collects the output of a run.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestFrameworks(t *testing.T) {
	if testing.Short() {
		t.Skip("no frameworks in a short run")
	}
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			if f.rest && os.Getenv("HOSTLESS_TEST_FRAMEWORKS") != "all" {
				t.Skip("set HOSTLESS_TEST_FRAMEWORKS=all to run it") // a few frameworks are always tested
			}
			f.test(t)
		})
	}
}

// gateway is a running Hostless that a framework is tested with.
type gateway struct {
	env  []string // of its client
	port string
	list func() string // of its routes
	home string        // of a browser that trusts its certificates
}

func (f framework) test(t *testing.T) {
	began := time.Now()
	dir, command := f.project(t)
	t.Logf("installed in %v", time.Since(began).Round(10*time.Millisecond))
	d, home := harness.Start(t, "--tls"), harness.Home(t)
	chromium.Trust(t, d, home)
	f.check(t, gateway{d.Env, d.Port, func() string { return d.Must("list") }, home}, dir, command)
}

// check runs the command in dir and changes its source while pages show it over http and
// https.
func (f framework) check(t *testing.T, g gateway, dir string, command []string) {
	browser := chromium.Start(t, chromium.Options{Home: g.home})
	tab, secure := browser.Tab(), browser.Tab()
	began := time.Now()
	lap := func() time.Duration {
		d := time.Since(began).Round(10 * time.Millisecond)
		began = time.Now()
		return d
	}

	out := &output{}
	run := exec.Command(filepath.Join(harness.Bin(t), "hostless"), append([]string{"run", f.name, "--"}, command...)...)
	run.Dir, run.Env = dir, append(append([]string{}, g.env...), quiet...)
	run.Stdout, run.Stderr = out, out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { run.Wait(); close(ended) }()
	t.Cleanup(func() {
		run.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("hostless run %s -- %s:\n%s", f.name, strings.Join(command, " "), out)
		}
	})
	await(t, "the route", func() bool { return strings.Contains(g.list(), f.name) })

	// The app may still be starting: its page then replaces the page for a starting app.
	tab.Go("http://" + f.name + ".localhost:" + g.port + "/" + f.path)
	if !tab.Within(2*time.Minute, f.reads("first words")) {
		t.Fatalf("the page never shows its words:\n%s", tab.Text())
	}
	opened := lap()
	if strings.Contains(out.String(), "PORT") {
		t.Errorf("it does not take the port it is given:\n%s", out)
	}
	if err := tab.TryEval(`window.kept = "kept"`, nil); err != nil {
		t.Fatal(err)
	}
	secure.Go("https://" + f.name + ".localhost:" + g.port + "/" + f.path)
	if !secure.Within(time.Minute, f.reads("first words")) {
		t.Fatalf("the page over https never shows its words:\n%s", secure.Text())
	}
	if !f.live {
		f.poll(t, secure)
	}
	last := f.change(t, dir, tab)
	changed := lap()
	if f.live && !secure.Within(30*time.Second, f.reads(last)) {
		t.Errorf("the page over https does not show the change:\n%s", secure.Text())
	}
	if !f.live {
		f.polled(t, secure)
	}
	var kept bool
	if err := tab.TryEval(`window.kept === "kept"`, &kept); err != nil {
		t.Fatal(err)
	}

	run.Process.Signal(syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end on SIGINT; left: %v", processesIn(dir))
	}
	gone := lap()
	if left := processesIn(dir); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if list := g.list(); strings.Contains(list, f.name) {
		t.Errorf("the route is left:\n%s", list)
	}
	t.Logf("page shown in %v, changed in %v (page kept: %v), ended in %v with %d", opened, changed, kept, gone, run.ProcessState.ExitCode())
}

// project copies the app to a directory that has its dependencies, and returns the
// command that runs it. A missing program skips the test.
func (f framework) project(t *testing.T) (dir string, command []string) {
	t.Helper()
	dir, command, err := f.find(t)
	if err != nil {
		harness.Missing(t, err)
	}
	return dir, command
}

// find is project with an error for a missing program.
func (f framework) find(t *testing.T) (dir string, command []string, err error) {
	t.Helper()
	name, _, _ := strings.Cut(f.name, "-")
	from, dir := filepath.Join("testdata", name), harness.Home(t)
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if f.command == nil {
		// With symbolic links, the modules would be outside the project, and dev servers
		// refuse to serve such files. Hard links are as fast.
		modules := harness.Modules(t, from)
		if exec.Command("cp", "-al", modules, dir).Run() != nil {
			os.RemoveAll(filepath.Join(dir, "node_modules"))
			if out, err := exec.Command("cp", "-R", modules, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		return dir, []string{"npm", "run", "dev"}, nil
	}
	command = append([]string{}, f.command...)
	if program, ok := strings.CutPrefix(command[0], "python:"); ok {
		command[0] = filepath.Join(harness.Python(t, from), program)
	} else {
		_, err = exec.LookPath(command[0])
	}
	return dir, command, err
}

// reads returns an expression that is true if the page shows the words.
func (f framework) reads(words string) string {
	if f.frame == "" {
		return chromium.Reads(words)
	}
	return fmt.Sprintf(`document.querySelector(%q)?.contentDocument?.body?.innerText.includes(%q)`, f.frame, words)
}

// poll makes the page request its own URL repeatedly until polled is called, alternately with
// GET and with the POST of a form. The server restarts meanwhile, when its source is saved.
func (f framework) poll(t *testing.T, page *chromium.Page) {
	t.Helper()
	err := page.TryEval(`window.polls = {answers: 0, failures: [], forms: []};
		window.poller = (async () => {
			for (let i = 0; !window.enough; i++) {
				const form = i % 2 ? {method: "POST", body: new URLSearchParams({line: "kept"})} : {};
				try {
					const answer = await fetch(location.href, {cache: "no-store", ...form});
					window.polls.answers++;
					if (answer.status >= 500) window.polls[i % 2 ? "forms" : "failures"].push(i + ": " + answer.status);
				} catch (e) {
					window.polls.failures.push(i + ": " + e);
				}
				await new Promise(next => setTimeout(next, 20));
			}
		})(); true`, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// polled ends the requests of poll. It checks that there were at least three responses, and
// that no GET failed or got a status of 500 or above. A server may be killed after it has
// read a form and before it responds: one form may get a 502, because it must not be sent
// twice.
func (f framework) polled(t *testing.T, page *chromium.Page) {
	t.Helper()
	var polls struct {
		Answers  int      `json:"answers"`
		Failures []string `json:"failures"`
		Forms    []string `json:"forms"`
	}
	page.Within(20*time.Second, "window.polls.answers >= 3")
	if err := page.TryEval(`window.enough = true, window.poller.then(() => window.polls)`, &polls); err != nil {
		t.Fatal(err)
	}
	if polls.Answers < 3 || len(polls.Failures) > 0 || len(polls.Forms) > 1 {
		t.Errorf("while the server restarted: %d responses, failures %v, forms %v", polls.Answers, polls.Failures, polls.Forms)
	}
	t.Logf("%d requests while the server restarted, forms lost: %v", polls.Answers, polls.Forms)
}

// change writes new words into the source, waits until the page shows them, and returns
// them. It tries again because a change that is saved while the page opens its connection
// for updates may be lost.
func (f framework) change(t *testing.T, dir string, tab *chromium.Page) (words string) {
	t.Helper()
	path, last := filepath.Join(dir, filepath.FromSlash(f.source)), "first words"
	for i := range 4 {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		next := "words of change " + strconv.Itoa(i)
		// Write and rename, so that the dev server never reads an incomplete file.
		draft := path + "~"
		if err := os.WriteFile(draft, []byte(strings.Replace(string(text), last, next, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(draft, path); err != nil {
			t.Fatal(err)
		}
		last = next
		if f.live {
			if tab.Within(10*time.Second, f.reads(next)) {
				return next
			}
			continue
		}
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			tab.TryEval("location.reload()", nil)
			if tab.Within(500*time.Millisecond, f.reads(next)) {
				return next
			}
		}
	}
	t.Fatalf("the page does not change:\n%s", tab.Text())
	return ""
}

// processesIn lists the processes whose working directory is below dir.
func processesIn(dir string) (left []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && (at == dir || strings.HasPrefix(at, dir+"/")) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			left = append(left, filepath.Base(filepath.Dir(link))+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
