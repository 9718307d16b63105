package systemd

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
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
)

// echoServer is an app that echoes bodies, and everything on upgraded connections, like a
// hot reload socket.
func echoServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/events":
			for i := 0; ; i++ {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		case r.Header.Get("Upgrade") == "":
			io.Copy(w, r.Body)
		default:
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(conn, rw.Reader)
		}
	}))
}

// closeServer stops an app whose connections may still be open.
func closeServer(s *httptest.Server) {
	s.CloseClientConnections()
	s.Close()
}

// kept is a connection that must survive restarts.
type kept struct {
	conn net.Conn
	in   *bufio.Reader
}

// keep opens a connection to the app and reads the head of the response.
func keep(t *testing.T, head string) *kept {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(4 * time.Minute))
	io.WriteString(conn, head)
	k := &kept{conn, bufio.NewReader(conn)}
	if resp, err := http.ReadResponse(k.in, nil); err != nil || resp.StatusCode != 101 && resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	return k
}

func (k *kept) echo(line string) error {
	if _, err := fmt.Fprintln(k.conn, line); err != nil {
		return err
	}
	back, err := k.in.ReadString('\n')
	if err == nil && back != line+"\n" {
		err = fmt.Errorf("%q came back as %q", line, back)
	}
	return err
}

// noGap restarts the daemon, and replaces its program, under load on both planes with
// open hot reload sockets and event streams: nothing is refused or cut.
func noGap(t *testing.T) {
	restarts, replaced, sockets := 30, 10, 20
	if testing.Short() {
		restarts, replaced, sockets = 4, 2, 5
	}
	app := echoServer()
	defer closeServer(app)
	must(t, "alias", "loaded", strings.TrimPrefix(app.URL, "http://127.0.0.1:"))
	defer func() { must(t, "alias", "remove", "loaded") }()
	// A copy of the programs that this user may replace.
	bin := filepath.Join(os.Getenv("HOME"), "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func() {
		for _, name := range []string{"hostless", "hostlessd"} {
			path := filepath.Join(bin, name)
			copyProgram(t, filepath.Join(os.Getenv(inside), name), path+".new")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command(filepath.Join(bin, "hostless"), "service", "install").CombinedOutput(); err != nil {
			t.Fatalf("service install: %v\n%s", err, out)
		}
	}
	put()
	defer func() { must(t, "service", "install") }()
	host := "Host: loaded.localhost:" + port + "\r\n"
	var upgraded, streams []*kept
	for range sockets {
		upgraded = append(upgraded, keep(t, "GET /ws HTTP/1.1\r\n"+host+"Connection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
	}
	for range 5 {
		streams = append(streams, keep(t, "GET /events HTTP/1.1\r\n"+host+"Accept: text/event-stream\r\n\r\n"))
	}
	agent, end := openAgentSocket(t)
	defer end()
	cut := 0
	check := func(what string) {
		if err := agent.turn(what); err != nil {
			t.Errorf("the Responses socket after %s: %v", what, err)
			cut++
		}
		for i, k := range upgraded {
			if err := k.echo(what); err != nil {
				t.Errorf("socket %d after %s: %v", i, what, err)
				cut++
			}
		}
	}
	l := startLoad(9, time.Millisecond, toGateway, toApp, postToApp)
	for i := range restarts {
		before := mainPID()
		must(t, "service", "restart")
		if now := mainPID(); now == before || now == 0 {
			t.Errorf("restart %d: pid %d before, %d after", i, before, now)
		}
		check(fmt.Sprintf("restart %d", i))
	}
	for i := range replaced {
		before := mainPID()
		put()
		if now := mainPID(); now == before || now == 0 {
			t.Errorf("replacement %d: pid %d before, %d after", i, before, now)
		}
		check(fmt.Sprintf("replacement %d", i))
	}
	l.end(t, fmt.Sprintf("%d restarts, %d replacements", restarts, replaced))
	for i, k := range streams {
		for range 5 { // buffered events come first: a stream that was cut ends here
			if _, err := k.in.ReadString('\n'); err != nil {
				t.Errorf("stream %d: %v", i, err)
				cut++
				break
			}
		}
		if k.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); !goesOn(k) {
			t.Errorf("stream %d was cut", i)
			cut++
		}
	}
	t.Logf("%d upgraded connections, a Responses socket and %d streams, %d cut", len(upgraded), len(streams), cut)
	if l.refused.Load() != 0 || l.broken.Load() != 0 || l.answered.Load() == 0 {
		t.Error("requests were lost")
	}
	for _, k := range append(upgraded, streams...) {
		k.conn.Close()
	}
	agent.Close()
	eventually(t, "the old processes end with their last connections", func() bool {
		return len(strings.Fields(command("pgrep", "-u", fmt.Sprint(os.Getuid()), "hostlessd"))) == 1
	})
	if n := property("hostlessd.service", "Result"); n != "success" {
		t.Errorf("the service's result is %s", n)
	}
}

// goesOn reads the buffered part of a stream and one more event.
func goesOn(k *kept) bool {
	deadline := time.Now().Add(300 * time.Millisecond)
	for time.Now().Before(deadline) {
		if _, err := k.in.ReadString('\n'); err != nil {
			return false
		}
	}
	return true
}

// https turns TLS on for the service, and off again, while an upgraded connection is
// open.
func https(t *testing.T) {
	app := echoServer()
	defer closeServer(app)
	must(t, "alias", "secure", strings.TrimPrefix(app.URL, "http://127.0.0.1:"))
	defer func() { must(t, "alias", "remove", "secure") }()
	k := keep(t, "GET /ws HTTP/1.1\r\nHost: secure.localhost:"+port+"\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	must(t, "service", "install", "--tls", "--idle-timeout", "off")
	ask := func(scheme, host string) error {
		pool := x509.NewCertPool()
		pem, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), ".hostless", "ca.crt"))
		if err != nil {
			return err
		}
		pool.AppendCertsFromPEM(pem)
		c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
			},
		}}
		resp, err := c.Get(scheme + "://" + host + ":" + port + "/health")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	}
	for _, target := range [][2]string{{"https", "localhost"}, {"https", "secure.localhost"}, {"http", "localhost"}} {
		if err := ask(target[0], target[1]); err != nil {
			t.Errorf("%s://%s: %v", target[0], target[1], err)
		}
	}
	// A setting is kept by an installation that does not mention it.
	must(t, "service", "install")
	var s struct {
		TLS         bool
		IdleTimeout int64 `json:"idle_timeout"`
		Binary      string
	}
	status := func() {
		if err := json.Unmarshal([]byte(must(t, "status", "--json")), &s); err != nil {
			t.Fatal(err)
		}
	}
	if status(); !s.TLS || s.IdleTimeout != 0 || s.Binary != filepath.Join(os.Getenv(inside), "hostlessd") {
		t.Errorf("after another installation: %+v", s)
	}
	must(t, "config", "set", "tls", "off")
	if status(); s.TLS || ask("https", "localhost") == nil {
		t.Errorf("https is still served: %+v", s)
	}
	must(t, "config", "set", "tls", "on")
	if status(); !s.TLS || ask("https", "localhost") != nil {
		t.Errorf("https is not served: %+v", s)
	}
	must(t, "config", "set", "tls", "off")
	if err := k.echo("still there"); err != nil {
		t.Errorf("the upgraded connection was cut: %v", err)
	}
	k.conn.Close()
}

// idle: the daemon stops when it is not used, and not before; the next byte starts it
// again with its whole state.
func idle(t *testing.T) {
	must(t, "config", "set", "idle-timeout", "1s")
	token := strings.TrimSpace(must(t, "token", "create", "--name", "idle", "--rate-limit", "3"))
	models := func() int {
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+port+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = "localhost:"+port, true
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	gone := func() bool {
		return mainPID() == 0 && command("pgrep", "-u", fmt.Sprint(os.Getuid()), "hostlessd") == "exit status 1"
	}
	app := echoServer()
	defer closeServer(app)
	must(t, "alias", "quiet", strings.TrimPrefix(app.URL, "http://127.0.0.1:"))
	k := keep(t, "GET /ws HTTP/1.1\r\nHost: quiet.localhost:"+port+"\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	before := mainPID()
	for range 5 { // longer than the timeout, with one connection open
		time.Sleep(500 * time.Millisecond)
		if err := k.echo("open"); err != nil || mainPID() != before {
			t.Fatalf("ended with an upgraded connection open: %v", err)
		}
	}
	k.conn.Close()
	eventually(t, "no process is left", gone)
	wantListening(t)
	if state := property("hostlessd.service", "ActiveState"); state != "inactive" {
		t.Errorf("the service is %s after an idle end", state)
	}
	started := time.Now()
	health(t, "127.0.0.1")
	t.Logf("first answer after an idle end: %v", time.Since(started).Round(time.Millisecond))
	t.Logf("first answers from cold, by curl: %v", coldCurl(t, gone))
	// A run keeps it running.
	run := exec.Command(client(), "run", "--name", "held", "--", os.Args[0])
	run.Env = append(os.Environ(), beApp+"=1")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run is listed", func() bool { return strings.Contains(must(t, "list"), "held") })
	before = mainPID()
	time.Sleep(2500 * time.Millisecond)
	if mainPID() != before {
		t.Error("ended under a run")
	}
	run.Process.Signal(syscall.SIGTERM)
	run.Wait()
	for i, want := range []int{200, 200} {
		if code := models(); code != want {
			t.Errorf("request %d: %d, want %d", i, code, want)
		}
		eventually(t, "no process is left", gone)
	}
	if list := must(t, "list"); !strings.Contains(list, "quiet") {
		t.Errorf("the alias is lost: %s", list)
	}
	must(t, "alias", "remove", "quiet")
	must(t, "token", "revoke", token)
	must(t, "config", "set", "idle-timeout", "off")
}

// failedInstall: a failed installation leaves the running service alone.
func failedInstall(t *testing.T) {
	health(t, "127.0.0.1")
	squatter, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	_, taken, _ := net.SplitHostPort(squatter.Addr().String())
	before := mainPID()
	out, err := exec.Command(client(), "service", "install", "--port", taken).CombinedOutput()
	if err == nil || !strings.Contains(string(out), taken) {
		t.Errorf("install on a taken port: %v\n%s", err, out)
	}
	health(t, "127.0.0.1")
	if now := mainPID(); now != before {
		t.Errorf("a failed installation took the daemon down: pid %d, then %d", before, now)
	}
}

// stopped: the watchdog restarts a daemon that hangs.
func stopped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	before := mainPID()
	if err := syscall.Kill(before, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for mainPID() == before && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	health(t, "127.0.0.1")
	if mainPID() == before {
		t.Error("the watchdog left a daemon that hangs")
	}
}

// web opens port 80, and 443 with TLS, if the system allows it for users, and closes them
// again.
func web(t *testing.T) {
	must(t, "service", "install", "--web")
	app := echoServer()
	defer closeServer(app)
	must(t, "alias", "webby", strings.TrimPrefix(app.URL, "http://127.0.0.1:"))
	if list := must(t, "list"); !strings.Contains(list, "http://webby.localhost ") {
		t.Errorf("the address has a port:\n%s", list)
	}
	for _, address := range []string{"127.0.0.1:80", "[::1]:80", "127.0.0.1:" + port} {
		resp, err := http.Get("http://" + address + "/health")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v %v", address, resp, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	must(t, "config", "set", "tls", "on")
	if list := must(t, "list"); !strings.Contains(list, "https://webby.localhost ") {
		t.Errorf("with TLS the address is another:\n%s", list)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:443"); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	must(t, "config", "set", "tls", "off")
	must(t, "alias", "remove", "webby")
	must(t, "service", "install", "--web=off")
	if c, err := net.Dial("tcp", "127.0.0.1:80"); err == nil {
		c.Close()
		t.Error("port 80 is open after --web=off")
	}
	health(t, "127.0.0.1")
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config", "systemd", "user", "*", "hostlessd-web.socket")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if state := property("hostlessd-web.socket", "LoadState"); state != "not-found" {
		t.Errorf("hostlessd-web.socket is %s after --web=off", state)
	}
}

// reboot stops everything of the service manager as a reboot does, and logs in again:
// everything is as before.
func reboot(t *testing.T) {
	app := echoServer()
	defer closeServer(app)
	must(t, "alias", "kept", strings.TrimPrefix(app.URL, "http://127.0.0.1:"))
	must(t, "config", "set", "tls", "on")
	token := strings.TrimSpace(must(t, "token", "create", "--name", "kept", "--rate-limit", "2"))
	key := exec.Command(client(), "keys", "add", "mine", "-", "--base-url", app.URL, "--allow-private")
	key.Stdin = strings.NewReader("key-of-mine-canary-0000000")
	if out, err := key.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	chat := func() int {
		req, err := http.NewRequest("POST", "http://127.0.0.1:"+port+"/v1/chat/completions", strings.NewReader(`{"model":"echo/text","messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = "localhost:"+port, true
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := chat(); code != 200 {
		t.Fatalf("before: %d", code)
	}
	command("systemctl", "--user", "stop", "hostlessd-http.socket", "hostlessd-control.socket", "hostlessd.service")
	if err := os.RemoveAll(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "hostless")); err != nil {
		t.Fatal(err)
	}
	command("systemctl", "--user", "daemon-reexec")
	if out := command("systemctl", "--user", "restart", "sockets.target"); out != "" {
		t.Fatal(out)
	}
	wantListening(t)
	if mainPID() != 0 {
		t.Error("the daemon is running before the first request")
	}
	for i, want := range []int{200, 429} {
		if code := chat(); code != want {
			t.Errorf("request %d after the restart: %d, want %d: the rate window is kept", i, code, want)
		}
	}
	if list := must(t, "list"); !strings.Contains(list, "https://kept.localhost") {
		t.Errorf("the alias, or TLS, is lost:\n%s", list)
	}
	if list := must(t, "keys", "list"); !strings.Contains(list, "mine") {
		t.Errorf("the key is lost:\n%s", list)
	}
	must(t, "keys", "remove", "mine")
	must(t, "token", "revoke", token)
	must(t, "alias", "remove", "kept")
	must(t, "config", "set", "tls", "off")
}
