package launch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/test/harness"
)

// TestHintAtForms checks the note for each framework under https, and that there is none
// otherwise.
func TestHintAtForms(t *testing.T) {
	kit := t.TempDir()
	if err := os.WriteFile(filepath.Join(kit, "package.json"), []byte(`{"devDependencies":{"@sveltejs/kit":"2"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ dir, tool, url, want string }{
		{kit, "vite", "https://a.localhost", "csrf.trustedOrigins"},
		{kit, "vite", "http://a.localhost", ""},
		{t.TempDir(), "vite", "https://a.localhost", ""},
		{kit, "react-router", "https://a.localhost:1", "allowedActionOrigins"},
		{kit, "manage.py", "https://a.localhost:1", `CSRF_TRUSTED_ORIGINS = ["https://a.localhost:1"]`},
		{kit, "next", "https://a.localhost", ""},
	} {
		r := &run{Config: Config{Dir: tt.dir}}
		if got := r.hintAtForms(tt.tool, tt.url); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s at %s: %q, want %q", tt.tool, tt.url, got, tt.want)
		}
	}
}

// TestTerminalCtrlCWithAChildThatStays presses Ctrl-C once. The server ends with code 0,
// but its child, in its own session, does not get the signal.
func TestTerminalCtrlCWithAChildThatStays(t *testing.T) {
	d := newStandIn(t)
	mark := t.TempDir() + "/pid"
	cmd := d.run(Config{Args: app(t, "catch", "daemon:deaf,pid:"+mark+",serve:0,wait", "serve:", "count"), Grace: 300 * time.Millisecond})
	s := newScreen(t, cmd)
	s.await("is ready", 0) // it listens for longer than daemonizeLimit
	pids := awaitPIDs(t, mark, 1)
	s.press("\x03")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the run: %v, want the app's own 0", err)
	}
	awaitGone(t, pids)
}

// TestHintAtPage checks the note for a command whose PORT serves no page.
func TestHintAtPage(t *testing.T) {
	d := newStandIn(t)
	page := freePort(t)
	script := `const h=require("http"),s=(p,t,b)=>h.createServer((q,r)=>{r.setHeader("content-type",t);r.end(b)}).listen(p,"127.0.0.1");` +
		`s(+process.env.PORT,"application/json","{}");s(` + strconv.Itoa(page) + `,"text/html","<h1>page</h1>")`
	cmd := d.run(Config{Args: []string{harness.Need(t, "node"), "-e", script}})
	s := newScreen(t, cmd)
	d.awaitState(control.StateListening)
	s.await("--app-port "+strconv.Itoa(page)+" makes", 0)
	s.press("\x03")
	_ = cmd.Wait()
}

// TestHintAtSocket checks the note for an app that opens no port.
func TestHintAtSocket(t *testing.T) {
	d := newStandIn(t)
	path := filepath.Join(d.home, "app.sock")
	cmd := d.run(Config{Args: []string{harness.Need(t, "node"), "-e", `require("net").createServer().listen("` + path + `")`}})
	s := newScreen(t, cmd)
	s.await("hostless alias app unix:"+path, 0)
	s.press("\x03")
	_ = cmd.Wait()
}
