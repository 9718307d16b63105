// Package web tests real dev servers with a real browser: started by `hostless run`,
// opened at NAME.localhost, and changed meanwhile.
package web

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// log collects a process's output.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// run starts the client with args in dir and stops it at the end of the test.
func run(t *testing.T, d *harness.Daemon, dir string, args ...string) *log {
	t.Helper()
	out := &log{}
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), args...)
	cmd.Dir, cmd.Env = dir, d.Env
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("hostless %s:\n%s", strings.Join(args, " "), out)
		}
	})
	return out
}

var site = map[string]string{
	"package.json": `{"name":"site","private":true,"type":"module","scripts":{"dev":"vite"}}`,
	"index.html":   `<!doctype html><title>site</title><p id="text"></p><script type="module" src="/main.js"></script>`,
	"main.js": `import { text } from "./text.js";
window.loads = (window.loads || 0) + 1;
const show = (t) => { document.querySelector("#text").textContent = t; };
show(text);
import.meta.hot?.accept("./text.js", (m) => show(m.text));
`,
	"text.js": "export const text = \"first\";\n",
}

// TestViteHotReplacement edits a module and sees the page change without a reload: Vite's
// WebSocket works through the proxy.
func TestViteHotReplacement(t *testing.T) {
	for _, command := range [][]string{
		{"npm", "run", "dev"},
		{"npx", "vite"},
		{"node", "node_modules/vite/bin/vite.js"},
	} {
		t.Run(command[0], func(t *testing.T) {
			dir := project(t, site)
			d := harness.Start(t)
			b := startBrowser(t)
			out := run(t, d, dir, append([]string{"run", "site", "--"}, command...)...)
			await(t, 30*time.Second, "Vite is ready", func() bool { return strings.Contains(out.String(), "ready in") })
			p := b.open("http://site.localhost:" + d.Port + "/")
			p.shows(`document.querySelector("#text")?.textContent`, "first")
			p.shows(`location.origin`, "http://site.localhost:"+d.Port)
			if _, err := p.eval(`window.kept = "kept"`); err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"second", "third"} {
				// A file watcher may combine two saves in quick succession; a person
				// would save again.
				await(t, 30*time.Second, "the page shows "+text, func() bool {
					write(t, filepath.Join(dir, "text.js"), "export const text = \""+text+"\";\n")
					return p.comesToShow(`document.querySelector("#text")?.textContent`, text, 3*time.Second)
				})
			}
			p.shows(`window.kept + " " + window.loads`, "kept 1")
			if strings.Contains(out.String(), "does not listen on PORT") {
				t.Errorf("Vite was not given its port:\n%s", out)
			}
		})
	}
}
