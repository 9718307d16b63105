package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/hostless/hostless/test/harness"
)

// browser is a headless Chromium with its own profile, controlled with the DevTools
// protocol.
type browser struct {
	t    *testing.T
	conn *websocket.Conn

	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// page is a tab.
type page struct {
	*browser
	session string
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return harness.Need(t, "chromium")
}

// startBrowser starts Chromium and kills its process group at the end of the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	profile := t.TempDir()
	cmd := exec.Command(chromium(t), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-port=0", "--user-data-dir="+profile, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		// Its child processes may still be writing. TempDir removes what is left.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	var port, path string
	await(t, 30*time.Second, "Chromium's DevTools port", func() bool {
		data, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort"))
		port, path, _ = strings.Cut(strings.TrimSpace(string(data)), "\n")
		return err == nil && path != ""
	})
	conn, resp, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+port+path, http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	conn.SetReadLimit(64 << 20)
	b := &browser{t: t, conn: conn, waiting: map[int]chan answer{}}
	t.Cleanup(func() { conn.Close() })
	go b.read()
	return b
}

func (b *browser) read() {
	for {
		var msg struct {
			ID int
			answer
		}
		if err := b.conn.ReadJSON(&msg); err != nil {
			return
		}
		b.mu.Lock()
		ch := b.waiting[msg.ID]
		delete(b.waiting, msg.ID)
		b.mu.Unlock()
		if ch != nil {
			ch <- msg.answer
		}
	}
}

// call runs one DevTools command; out may be nil.
func (b *browser) call(session, method string, params, out any) error {
	ch := make(chan answer, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = ch
	err := b.conn.WriteJSON(struct {
		ID        int    `json:"id"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
		SessionID string `json:"sessionId,omitempty"`
	}{id, method, params, session})
	b.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	select {
	case a := <-ch:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		if out != nil {
			return json.Unmarshal(a.Result, out)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer", method)
	}
}

// open opens a page in a new tab.
func (b *browser) open(url string) *page {
	b.t.Helper()
	var target struct{ TargetID string }
	if err := b.call("", "Target.createTarget", map[string]any{"url": url}, &target); err != nil {
		b.t.Fatal(err)
	}
	var attached struct{ SessionID string }
	if err := b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		b.t.Fatal(err)
	}
	return &page{b, attached.SessionID}
}

// eval evaluates an expression in the page and awaits promises. While the page is being
// replaced, it returns an error.
func (p *page) eval(expression string) (string, error) {
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	err := p.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &out)
	if err == nil && out.ExceptionDetails != nil {
		err = fmt.Errorf("%s", out.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(out.Result.Value), err
}

// shows waits until an expression has a value.
func (p *page) shows(expression, want string) {
	p.t.Helper()
	var got string
	var err error
	begin := time.Now()
	for got != want {
		if got, err = p.eval(expression); time.Since(begin) > 30*time.Second {
			body, _ := p.eval("document.documentElement.outerHTML")
			p.t.Fatalf("%s is %q (%v), want %q; the page:\n%s", expression, got, err, want, body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// comesToShow reports whether an expression gets a value within the time.
func (p *page) comesToShow(expression, want string, within time.Duration) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got, err := p.eval(expression); err == nil && got == want {
			return true
		}
	}
	return false
}

func await(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
