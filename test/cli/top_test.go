package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostless/hostless/test/harness"
)

// drawn is what a program has written to its terminal.
type drawn struct {
	mu   sync.Mutex
	text strings.Builder
}

func (d *drawn) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *drawn) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// await waits for words after a position in what was drawn.
func (d *drawn) await(t *testing.T, from int, words string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(d.String()[from:], words); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q is never drawn:\n%q", words, d.String()[from:])
		}
	}
}

// slowChat is a provider whose stream lasts until done is closed.
func slowChat(t *testing.T, done <-chan struct{}) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d \"},\"finish_reason\":null}]}\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-done:
				io.WriteString(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
				return
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestTop watches a stream in a terminal that is resized, and quits with q.
func TestTop(t *testing.T) {
	d := harness.Start(t)
	done := make(chan struct{})
	d.Must("keys", "add", "openai", "sk-real", "--base-url", slowChat(t, done))
	d.Must("alias", "shop", "4999")
	var token struct{ Token string }
	json.Unmarshal([]byte(d.Must("token", "create", "--name", "tester", "--json")), &token)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		req, _ := http.NewRequest("POST", d.URL+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hello"}]}`))
		req.Header.Set("Authorization", "Bearer "+token.Token)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()

	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "top", "--interval", "100ms")
	cmd.Env = append(slices.Clone(d.Env), "TERM=xterm", "NO_COLOR=1")
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 110})
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	var out drawn
	go io.Copy(&out, screen)
	out.await(t, 0, "IN FLIGHT  1")
	out.await(t, 0, "tester")
	out.await(t, 0, "openai/gpt-4o-mini")
	out.await(t, 0, " tokens  ")
	out.await(t, 0, "shop.localhost:"+d.Port)
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 12, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	at := len(out.String())
	out.await(t, at, "\x1b[J\x1b[H")
	_, frame, _ := strings.Cut(out.String()[at:], "\x1b[J\x1b[H")
	out.await(t, len(out.String()), "\x1b[J")
	frame, _, _ = strings.Cut(frame, "\x1b[J")
	for _, line := range strings.Split(frame, "\r\n") {
		if n := len([]rune(strings.TrimSuffix(line, "\x1b[K"))); n > 40 {
			t.Errorf("a line of %d characters in a window of 40: %q", n, line)
		}
	}
	close(done)
	<-asked
	out.await(t, at, "IN FLIGHT  0")
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	out.await(t, at, "LAST REQUESTS TO MODELS")
	req, _ := http.NewRequest("GET", "http://127.0.0.1:"+d.Port+"/cart", nil)
	req.Host = "shop.localhost:" + d.Port
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
	for key, words := range map[string]string{"a": "LAST REQUESTS TO APPS", "k": "ALIASES"} {
		at = len(out.String())
		if _, err := screen.Write([]byte(key)); err != nil {
			t.Fatal(err)
		}
		out.await(t, at, words)
	}
	out.await(t, at, "/cart")
	at = len(out.String())
	if _, err := screen.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("q: %v", err)
	}
	out.await(t, at, "\x1b[?25h\x1b[?1049l")
	if text := out.String(); strings.Contains(text, "\x1b[31m") || strings.Contains(text, "\x1b[1m") {
		t.Error("colours in spite of NO_COLOR")
	}
}

// TestTopInLines: without a terminal, top prints lines.
func TestTopInLines(t *testing.T) {
	d := harness.Start(t)
	d.Must("alias", "shop", "4999")
	text := d.Must("top", "-n", "2", "--interval", "100ms")
	if lines := strings.Split(text, "\n"); len(lines) != 2 || !strings.Contains(lines[1], "in flight 0") || !strings.Contains(lines[1], "apps 1 of 1") || strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	d.Stop()
	if r := d.CLI("top", "-n", "1"); r.Code != 3 {
		t.Errorf("without a daemon: %+v", r)
	}
	if r := d.CLI("top", "--interval", "1ms"); r.Code != 2 {
		t.Errorf("too short an interval: %+v", r)
	}
}
