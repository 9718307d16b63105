// Package chromium controls a headless Chromium for tests over a pipe, with the DevTools
// protocol. Each browser has a fresh profile and home, and can only reach this machine.
package chromium

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// callTimeout limits each call, each navigation and each Wait.
const callTimeout = 60 * time.Second

// Options configures a Browser. The zero value is valid.
type Options struct {
	Home string   // HOME of the browser, with .pki/nssdb; a temporary one when empty
	Args []string // additional flags
}

// Browser is a running Chromium. It is stopped at the end of its test.
type Browser struct {
	Home string

	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr lockedBuffer

	mu      sync.Mutex
	next    int
	calls   map[int]chan reply
	watch   map[*watcher]struct{}
	closed  bool
	reading sync.WaitGroup
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message, Data string }
}

type message struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	SessionID string          `json:"sessionId"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct{ Message, Data string }
}

type watcher struct {
	session, method string
	events          chan json.RawMessage
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Start runs Chromium. If none is installed, the test is skipped; in CI it fails. It is
// also skipped in short mode.
func Start(t testing.TB, o Options) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("no browser in a short run")
	}
	program := harness.Need(t, "chromium")
	if o.Home == "" {
		o.Home = harness.Home(t)
	}
	b := &Browser{Home: o.Home, t: t, calls: map[int]chan reply{}, watch: map[*watcher]struct{}{}}
	// The browser reads commands from descriptor 3 and writes to descriptor 4.
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.in = ourOut
	b.cmd = exec.Command(program, append([]string{
		"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(o.Home, "profile"),
		"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-quic", "--disable-extensions", "--no-proxy-server",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
	}, append(o.Args, "about:blank")...)...)
	b.cmd.Env = append(os.Environ(), "HOME="+o.Home, "XDG_CONFIG_HOME="+filepath.Join(o.Home, ".config"), "XDG_CACHE_HOME="+filepath.Join(o.Home, ".cache"))
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	b.cmd.Stderr = &b.stderr
	b.cmd.WaitDelay = 5 * time.Second
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b.reading.Go(func() { b.read(ourIn) })
	t.Cleanup(b.stop)
	var version struct{ Product string }
	b.call("", "Browser.getVersion", nil, &version)
	return b
}

// stop kills the browser and its child processes.
func (b *Browser) stop() {
	b.send("", "Browser.close", nil)
	ended := make(chan struct{})
	go func() { b.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
	}
	syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	<-ended
	b.in.Close()
	b.reading.Wait()
	if b.t.Failed() {
		text := b.stderr.String()
		b.t.Logf("the browser's output:\n%s", text[max(0, len(text)-2000):])
	}
}

// read reads the browser's messages, which are terminated by zero bytes.
func (b *Browser) read(r io.ReadCloser) {
	defer r.Close()
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		data, err := in.ReadBytes(0)
		if err != nil {
			break
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.ID != 0 {
			if c := b.calls[m.ID]; c != nil {
				delete(b.calls, m.ID)
				c <- reply{m.Result, m.Error}
			}
		} else {
			for w := range b.watch {
				if w.method == m.Method && w.session == m.SessionID {
					select {
					case w.events <- m.Params:
					default: // drop it: nobody reads so many
					}
				}
			}
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, c := range b.calls {
		close(c)
	}
	b.calls = map[int]chan reply{}
}

// send writes a command and returns the channel for its response.
func (b *Browser) send(session, method string, params any) <-chan reply {
	c := make(chan reply, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	command := map[string]any{"id": b.next, "method": method}
	if params != nil {
		command["params"] = params
	}
	if session != "" {
		command["sessionId"] = session
	}
	data, err := json.Marshal(command)
	if err == nil && !b.closed {
		b.calls[b.next] = c
		_, err = b.in.Write(append(data, 0))
	}
	if err != nil || b.closed {
		delete(b.calls, b.next)
		close(c)
	}
	return c
}

// try runs one command of the DevTools protocol.
func (b *Browser) try(session, method string, params, result any) error {
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case r, ok := <-b.send(session, method, params):
		switch {
		case !ok:
			return errors.New("the browser has ended")
		case r.Error != nil:
			return fmt.Errorf("%s %s", r.Error.Message, r.Error.Data)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-timer.C:
		return errors.New("no answer in time")
	}
}

func (b *Browser) call(session, method string, params, result any) {
	b.t.Helper()
	if err := b.try(session, method, params, result); err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
}

// events returns a channel with all following events of one method.
func (b *Browser) events(session, method string) <-chan json.RawMessage {
	w := &watcher{session, method, make(chan json.RawMessage, 1000)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch[w] = struct{}{}
	return w.events
}

// Downloads makes the browser save files into dir. The channel receives the final state
// of each download ("completed" or "canceled").
func (b *Browser) Downloads(dir string) <-chan string {
	b.t.Helper()
	events, states := b.events("", "Browser.downloadProgress"), make(chan string, 100)
	b.call("", "Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": dir, "eventsEnabled": true}, nil)
	go func() {
		for {
			select {
			case e := <-events:
				var progress struct{ State string }
				if json.Unmarshal(e, &progress) == nil && progress.State != "inProgress" {
					states <- progress.State
				}
			case <-b.t.Context().Done():
				return
			}
		}
	}()
	return states
}
