package requests_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/test/harness"
)

type appRow struct {
	ID, App, Method, Path, Upgrade string

	Time     time.Time
	Status   int
	Duration *int64 `json:"duration_ms"`
}

func (w *world) appRows(query string) []appRow {
	w.t.Helper()
	var list struct{ Requests []appRow }
	w.get("/log?plane=apps&"+query, &list)
	return list.Requests
}

// webApp starts an app and registers it under a name.
func (w *world) webApp(name string) {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			if c, err := up.Upgrade(rw, r, nil); err == nil {
				defer c.Close()
				c.ReadMessage()
			}
			return
		}
		if strings.HasPrefix(r.URL.Path, "/broken") {
			rw.WriteHeader(500)
		}
		fmt.Fprint(rw, "hello")
	}))
	w.t.Cleanup(app.Close)
	w.Must("alias", "add", name, fmt.Sprint(app.Listener.Addr().(*net.TCPAddr).Port))
}

func (w *world) visit(name, method, path string) {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://127.0.0.1:"+w.Port+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = name + ".localhost:" + w.Port
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// TestAppRequests: each request to an app has a row, also across restarts.
func TestAppRequests(t *testing.T) {
	w := start(t)
	w.webApp("shop")
	w.visit("shop", "GET", "/cart/1?token=secret-in-the-query")
	w.visit("shop", "POST", "/broken")
	w.visit("nobody", "GET", "/x")
	dialer := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+w.Port) }}
	c, _, err := dialer.Dial("ws://shop.localhost:"+w.Port+"/hmr?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "row of the upgrade", func() bool { return len(w.appRows("")) == 4 })
	var got []string
	for _, r := range w.appRows("") {
		if r.Duration == nil || r.ID == "" || time.Since(r.Time) > time.Minute || r.Time.Location() != time.UTC {
			t.Errorf("%+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %s %d %s", r.App, r.Method, r.Path, r.Status, r.Upgrade))
	}
	want := "shop GET /cart/1 200 ,shop POST /broken 500 ,nobody GET /x 404 ,shop GET /hmr 101 websocket"
	if strings.Join(got, ",") != want {
		t.Errorf("rows %q, want %q", got, want)
	}
	for query, want := range map[string]int{"app=shop": 3, "status=5xx": 1, "app=shop&status=101": 1, "since=0s": 0, "n=2": 2, "app=other": 0} {
		if n := len(w.appRows(query)); n != want {
			t.Errorf("%s gives %d rows, want %d", query, n, want)
		}
	}
	if len(w.rows("")) != 0 {
		t.Error("a request to an app is among the AI requests")
	}
	if r := w.CLI("log", "--apps", "--app", "shop", "--status", "5xx"); r.Code != 0 || !strings.Contains(r.Stdout, "/broken") || strings.Contains(r.Stdout, "/cart") {
		t.Errorf("log --apps: %+v", r)
	}
	if r := w.CLI("log", "--apps", "--model", "x"); r.Code != 2 {
		t.Errorf("log --apps --model: %+v", r)
	}
	files, _ := filepath.Glob(filepath.Join(w.Home, "requests", "apps", "*.jsonl"))
	if len(files) == 0 {
		t.Fatal("no segment")
	}
	for _, f := range files {
		info, _ := os.Stat(f)
		data, _ := os.ReadFile(f)
		if info.Mode().Perm() != 0o600 || strings.Contains(string(data), "secret-in-the-query") {
			t.Errorf("%s: %v\n%s", f, info.Mode(), data)
		}
	}
	w.Kill()
	w.Daemon = harness.StartIn(t, w.Home)
	if n := len(w.appRows("")); n != 4 {
		t.Errorf("%d rows after a kill, want 4", n)
	}
}

// follower is a running `hostless log -f --json`.
type follower struct {
	lines chan string
	stop  func()
}

func (w *world) follow(args ...string) follower {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(w.t), "hostless"), append([]string{"log", "-f", "--json"}, args...)...)
	cmd.Env = w.Env
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	f := follower{lines: make(chan string, 1000)}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
		close(f.lines)
	}()
	f.stop = func() { cmd.Process.Signal(syscall.SIGINT); cmd.Wait() }
	w.t.Cleanup(f.stop)
	return f
}

// next returns the model of the next row.
func (f follower) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-f.lines:
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		return r.Model
	case <-time.After(15 * time.Second):
		t.Fatal("no row comes")
	}
	return ""
}

// TestFollowOverRestarts: log -f continues after the daemon was killed, restarted and
// replaced, and prints each row once.
func TestFollowOverRestarts(t *testing.T) {
	w := start(t)
	ask := func(model string) { w.ask("POST", "/v1/chat/completions", chat("echo/"+model, false)) }
	ask("before")
	f := w.follow()
	if m := f.next(t); m != "echo/before" {
		t.Errorf("first %s", m)
	}
	ask("one")
	if m := f.next(t); m != "echo/one" {
		t.Errorf("then %s", m)
	}
	w.Kill()
	w.Daemon = harness.StartIn(t, w.Home)
	w.token = w.mint("--name", "again")
	ask("two")
	if m := f.next(t); m != "echo/two" {
		t.Errorf("after a kill %s", m)
	}
	w.Stop()
	w.Daemon = harness.StartIn(t, w.Home)
	w.token = w.mint("--name", "again")
	ask("three")
	ask("four")
	if a, b := f.next(t), f.next(t); a != "echo/three" || b != "echo/four" {
		t.Errorf("after a stop %s, %s", a, b)
	}
	w.Must("proxy", "restart")
	defer w.Must("proxy", "stop") // the successor holds the output for which the harness waits
	ask("five")
	if m := f.next(t); m != "echo/five" {
		t.Errorf("after a handover %s", m)
	}
	select {
	case line := <-f.lines:
		t.Errorf("one more: %s", line)
	case <-time.After(300 * time.Millisecond):
	}
}
