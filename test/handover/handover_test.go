// Package handover replaces the running daemon under load and looks for effects that a
// client could notice.
package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "__app" {
		app()
		return
	}
	harness.Main(m)
}

// app is a dev server: it answers requests, and echoes lines on upgraded connections like
// a hot reload socket.
func app() {
	http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.Copy(w, r.Body)
			fmt.Fprintln(w, os.Getenv("HOSTLESS_TOKEN"))
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, rw.Reader)
	}))
}

// upgraded is an upgraded connection through the proxy.
type upgraded struct {
	conn net.Conn
	in   *bufio.Reader
}

func upgrade(t *testing.T, d *harness.Daemon, host string) *upgraded {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+d.Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", host, d.Port)
	u := &upgraded{conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(u.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v %v", resp, err)
	}
	return u
}

// echo sends a line and reads it back.
func (u *upgraded) echo(line string) error {
	if _, err := fmt.Fprintln(u.conn, line); err != nil {
		return err
	}
	back, err := u.in.ReadString('\n')
	if err == nil && back != line+"\n" {
		err = fmt.Errorf("%q came back as %q", line, back)
	}
	return err
}

func chat(t *testing.T, d *harness.Daemon, ctx context.Context, token, model, text string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", d.URL+"/v1/chat/completions", strings.NewReader(
		`{"model":"`+model+`","stream":true,"messages":[{"role":"user","content":"`+text+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// run starts `hostless run` and waits until its app responds.
func run(t *testing.T, d *harness.Daemon, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "run", name, "--", self, "__app")
	cmd.Env = d.Env
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); d.CLI("wait", name, "--timeout", "30s").Code != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// load sends requests one after the other on kept-alive connections.
type load struct {
	answered, broken atomic.Int64
	mu               sync.Mutex
	errors           []string
	stop             context.CancelFunc
	done             sync.WaitGroup
}

func startLoad(d *harness.Daemon, requests ...string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for _, request := range requests {
		l.done.Go(func() { l.client(ctx, d.Port, strings.ReplaceAll(request, "PORT", d.Port)) })
	}
	return l
}

func (l *load) client(ctx context.Context, port, request string) {
	var conn net.Conn
	var in *bufio.Reader
	for ctx.Err() == nil {
		if conn == nil {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				l.failed(err)
				continue
			}
			conn, in = c, bufio.NewReader(c)
			defer c.Close()
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		closes := true
		_, err := io.WriteString(conn, request)
		if err == nil {
			var resp *http.Response
			if resp, err = http.ReadResponse(in, nil); err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				if closes = resp.Close; err == nil && resp.StatusCode != http.StatusOK {
					err = errors.New(resp.Status)
				}
			}
		}
		if err != nil {
			l.failed(err)
		} else {
			l.answered.Add(1)
		}
		if err != nil || closes {
			conn.Close()
			conn = nil
		}
	}
}

func (l *load) failed(err error) {
	l.broken.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) < 10 {
		l.errors = append(l.errors, err.Error())
	}
}

// TestRestart replaces a daemon that was started by hand while both planes are in use: no
// connection is refused, responses and upgraded connections continue, and the daemon's
// in-memory state is passed on.
func TestRestart(t *testing.T) {
	d := harness.Start(t)
	t.Cleanup(func() { d.CLI("stop") })
	token := d.Must("token", "create", "--name", "limited", "--rate-limit", "5")
	free := d.Must("token", "create", "--name", "free")
	run(t, d, "shop")
	sockets := []*upgraded{upgrade(t, d, "shop.localhost"), upgrade(t, d, "shop.localhost")}
	for i := range 3 {
		if resp := chat(t, d, context.Background(), token, "echo/text", "hello"); resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %s", i, resp.Status)
		}
	}
	words := strings.TrimSpace(strings.Repeat("word ", 40))
	stream := chat(t, d, context.Background(), free, "echo/slow", words)
	l := startLoad(d,
		"GET /health HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: shop.localhost:PORT\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: shop.localhost:PORT\r\nContent-Length: 5\r\n\r\nhello",
	)
	restarts := 10
	if testing.Short() {
		restarts = 3
	}
	before := d.Must("status", "--json")
	for i := range restarts {
		d.Must("proxy", "restart")
		for n, s := range sockets {
			if err := s.echo(fmt.Sprintf("restart %d", i)); err != nil {
				t.Fatalf("upgraded connection %d after restart %d: %v", n, i, err)
			}
		}
	}
	l.stop()
	l.done.Wait()
	t.Logf("%d restarts: %d answered, %d broken %v", restarts, l.answered.Load(), l.broken.Load(), l.errors)
	if l.broken.Load() != 0 || l.answered.Load() == 0 {
		t.Error("requests were lost")
	}
	if after := d.Must("status", "--json"); after == before {
		t.Error("the daemon was not replaced")
	}
	text, err := io.ReadAll(stream.Body)
	if err != nil || strings.Count(string(text), "word") < 40 || !strings.Contains(string(text), "[DONE]") {
		t.Errorf("the stream over the restarts: %v, %d bytes", err, len(text))
	}
	for i, want := range []int{200, 200, 429} {
		if resp := chat(t, d, context.Background(), token, "echo/text", "hello"); resp.StatusCode != want {
			t.Errorf("request %d after the restarts: %s, want %d: the rate window carries over", i, resp.Status, want)
		}
	}
}

// TestRevokedBehindASuccessor revokes the token of a response that the predecessor is
// still sending.
func TestRevokedBehindASuccessor(t *testing.T) {
	d := harness.Start(t)
	t.Cleanup(func() { d.CLI("stop") })
	token := d.Must("token", "create", "--name", "stream")
	stream := chat(t, d, context.Background(), token, "echo/slow", strings.Repeat("word ", 2000))
	if _, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	d.Must("proxy", "restart")
	d.Must("token", "revoke", token)
	ended := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(stream.Body)
		ended <- string(text)
	}()
	select {
	case text := <-ended:
		if strings.Contains(text, "[DONE]") {
			t.Error("the stream ended as if it were whole")
		}
	case <-time.After(30 * time.Second):
		t.Error("the stream continues after its token was revoked")
	}
}

// TestRestartFails: if the new daemon does not start, the old one continues.
func TestRestartFails(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"hostless", "hostlessd"} {
		data, err := os.ReadFile(filepath.Join(harness.Bin(t), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := harness.Home(t)
	hostless := func(args ...string) (string, error) {
		cmd := exec.Command(filepath.Join(bin, "hostless"), args...)
		cmd.Env = append(os.Environ(), "HOSTLESS_HOME="+home)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := hostless("proxy", "start", "--port", "0"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { hostless("stop") })
	// A new version that exits at once, put in place as an installation does.
	broken := filepath.Join(bin, "hostlessd.new")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(broken, filepath.Join(bin, "hostlessd")); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(home, "hostless.pid"))
	for range 2 {
		out, err := hostless("proxy", "restart")
		if err == nil || !strings.Contains(out, "the running one stays") {
			t.Fatalf("a broken version was accepted: %v\n%s", err, out)
		}
	}
	if out, err := hostless("status"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if after, _ := os.ReadFile(filepath.Join(home, "hostless.pid")); string(after) != string(before) {
		t.Errorf("pid %s became %s", before, after)
	}
}

// TestStopEndsPredecessors: `hostless stop` also ends what an earlier daemon is still
// serving, and the next daemon can start meanwhile.
func TestStopEndsPredecessors(t *testing.T) {
	d := harness.Start(t)
	token := d.Must("token", "create", "--name", "stream")
	stream := chat(t, d, context.Background(), token, "echo/slow", strings.Repeat("word ", 5000))
	in := bufio.NewReader(stream.Body)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	d.Must("proxy", "restart")
	d.Must("proxy", "restart")
	d.Must("stop")
	next := harness.StartIn(t, d.Home)
	next.Must("status")
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, in); close(ended) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the first daemon's stream continues after a stop")
	}
}
