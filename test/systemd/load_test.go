package systemd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a steady stream of requests on kept-alive connections. It never retries: a
// request that was written without a complete response counts as broken, even if the
// connection was closed in the meantime.
type load struct {
	answered, redialled, refused, broken atomic.Int64
	slowest                              atomic.Int64 // nanoseconds

	mu     sync.Mutex
	errors []string
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func startLoad(connections int, pause time.Duration, requests ...string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for i := range connections {
		l.done.Go(func() { l.client(ctx, pause, requests[i%len(requests)]) })
	}
	return l
}

// The requests of a load.
var (
	toGateway = "GET /health HTTP/1.1\r\nHost: localhost:" + port + "\r\n\r\n"
	toApp     = "GET /health HTTP/1.1\r\nHost: loaded.localhost:" + port + "\r\n\r\n"
	postToApp = "POST /health HTTP/1.1\r\nHost: loaded.localhost:" + port + "\r\nContent-Length: 5\r\n\r\nhello"
)

// client sends requests one after the other.
func (l *load) client(ctx context.Context, pause time.Duration, request string) {
	var conn net.Conn
	var reader *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for ctx.Err() == nil {
		if conn == nil {
			c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 20*time.Second)
			if err != nil {
				l.refused.Add(1)
				l.note(err)
				time.Sleep(pause)
				continue
			}
			l.redialled.Add(1)
			conn, reader = c, bufio.NewReader(c)
		}
		started := time.Now()
		closed, err := ask(conn, reader, request)
		l.slowest.Store(max(l.slowest.Load(), int64(time.Since(started))))
		if err != nil {
			l.broken.Add(1)
			l.note(err)
		} else {
			l.answered.Add(1)
		}
		if err != nil || closed {
			conn.Close()
			conn = nil
		}
		time.Sleep(pause)
	}
}

func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) < 10 {
		l.errors = append(l.errors, err.Error())
	}
}

// ask sends a request and reads its response.
func ask(conn net.Conn, reader *bufio.Reader, request string) (closed bool, err error) {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return true, fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return true, fmt.Errorf("answer: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return resp.Close, err
}

// end stops the load and checks its results.
func (l *load) end(t *testing.T, what string) {
	t.Helper()
	l.stop()
	l.done.Wait()
	t.Logf("%s: %d answered, %d connections, %d refused, %d broken, slowest %v %v", what,
		l.answered.Load(), l.redialled.Load(), l.refused.Load(), l.broken.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond), l.errors)
}

func restartUnderLoad(t *testing.T) {
	restarts := 30
	if testing.Short() {
		restarts = 5
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	defer app.Close()
	must(t, "alias", "loaded", strings.TrimPrefix(app.URL, "http://127.0.0.1:"))
	defer func() { must(t, "alias", "remove", "loaded") }()
	l := startLoad(9, time.Millisecond, toGateway, toApp, postToApp)
	var total time.Duration
	for range restarts {
		before := mainPID()
		started := time.Now()
		must(t, "service", "restart")
		total += time.Since(started)
		if now := mainPID(); now == before || now == 0 {
			t.Errorf("restart: pid %d before, %d after", before, now)
		}
	}
	l.end(t, fmt.Sprintf("%d restarts, %v each", restarts, (total/time.Duration(restarts)).Round(time.Millisecond)))
	if l.refused.Load() != 0 || l.broken.Load() != 0 {
		t.Error("requests were lost")
	}
	if l.answered.Load() == 0 {
		t.Error("nothing was answered")
	}
	if n := property("hostlessd.service", "Result"); n != "success" {
		t.Errorf("the service's result is %s", n)
	}
}

// streamOverRestart restarts the daemon during a response. The token is valid before and
// after.
func streamOverRestart(t *testing.T) {
	token := strings.TrimSpace(must(t, "token", "create", "--name", "stream"))
	chat := func(model, text string) *http.Response {
		req, err := http.NewRequest("POST", "http://localhost:"+port+"/v1/chat/completions",
			strings.NewReader(`{"model":"`+model+`","stream":true,"messages":[{"role":"user","content":"`+text+`"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		return resp
	}
	before := mainPID()
	resp := chat("echo/slow", "one two three four five six seven eight nine ten")
	lines := bufio.NewReader(resp.Body)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	restarted := make(chan struct{})
	go func() { command("systemctl", "--user", "restart", "hostlessd.service"); close(restarted) }()
	rest, err := io.ReadAll(lines)
	if err != nil || !strings.Contains(first+string(rest), "ten") || !strings.HasSuffix(strings.TrimSpace(string(rest)), "data: [DONE]") {
		t.Errorf("the stream ended with %v:\n%s%s", err, first, rest)
	}
	resp.Body.Close()
	<-restarted
	if mainPID() == before {
		t.Error("the daemon was not restarted")
	}
	again := chat("echo/text", "hello")
	if text, err := io.ReadAll(again.Body); err != nil || !strings.Contains(string(text), "hello") {
		t.Errorf("after the restart: %s %v", text, err)
	}
	again.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// killUnderLoad kills the daemon: the requests in progress are lost, but no connection is
// refused, and it starts again by itself.
func killUnderLoad(t *testing.T) {
	l := startLoad(4, time.Millisecond, toGateway)
	kills := int64(20)
	if testing.Short() {
		kills = 3
	}
	for range kills {
		before := mainPID()
		if before == 0 {
			t.Fatal("no daemon runs")
		}
		started := time.Now()
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the daemon comes back", func() bool { pid := mainPID(); return pid != 0 && pid != before })
		wantListening(t)
		answered := l.answered.Load()
		eventually(t, "requests are answered again", func() bool { return l.answered.Load() > answered })
		t.Logf("back after kill -9: %v", time.Since(started).Round(time.Millisecond))
		data, err := os.ReadFile(os.Getenv("HOME") + "/.hostless/hostless.pid")
		if err != nil || string(data) != fmt.Sprintln(mainPID()) {
			t.Errorf("hostless.pid holds %q (%v), the daemon is %d", data, err, mainPID())
		}
	}
	l.end(t, fmt.Sprintf("%d kills", kills))
	if l.refused.Load() != 0 {
		t.Error("connections were refused: the sockets went away")
	}
	// At most the requests in progress: one per connection and kill.
	if l.broken.Load() > 4*kills {
		t.Error("more requests were lost than were in flight")
	}
}
