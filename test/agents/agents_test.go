// Package agents runs coding agents, as released by their makers, with the real binaries
// and stand-ins for the providers: each must work with only a base URL and a key, on its
// own provider and on others.
package agents

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

// limit bounds the duration of one agent run.
const limit = 2 * time.Minute

// world is a daemon with a key for each stand-in, and the environment of an agent.
type world struct {
	*harness.Daemon
	openai, mine, anthropic, gemini *standin.Server
	token                           string
	home, dir                       string // the agent's home and working directory
	proof                           string // content of proof.txt in dir
	env                             []string
	blockedHosts                    blockedHosts
}

// servers returns the stand-ins.
func (w *world) servers() []*standin.Server {
	return []*standin.Server{w.openai, w.mine, w.anthropic, w.gemini}
}

// blockedHosts is a proxy that refuses all connections and records the requested hosts.
type blockedHosts struct {
	mu    sync.Mutex
	asked []string
}

// ServeHTTP implements http.Handler.
func (o *blockedHosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked = append(o.asked, r.Method+" "+r.Host)
	o.mu.Unlock()
	http.Error(w, "no connections to other hosts", http.StatusForbidden)
}

func (o *blockedHosts) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string{}, o.asked...)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		openai: standin.OpenAI(t, "sk-proj-canary-openai-000000000000"), mine: standin.Chat(t, "key-of-mine-canary-0000000"),
		anthropic: standin.Anthropic(t, "sk-ant-canary-0000000000000000"), gemini: standin.Gemini(t, "AIzaCanary0000000000000000000000000000"),
	}
	w.Daemon = harness.Start(t, "--verbose")
	for name, s := range map[string]*standin.Server{"openai": w.openai, "mine": w.mine, "anthropic": w.anthropic, "google": w.gemini} {
		if r := w.CLIWith(s.Key, "keys", "add", name, "-", "--base-url", s.URL); r.Code != 0 {
			t.Fatalf("keys add %s: %s", name, r.Stderr)
		}
	}
	w.token = w.Must("token", "create", "--name", "agent")
	w.home, w.dir = harness.Home(t), harness.Home(t)
	w.proof = "proof-of-" + filepath.Base(w.dir)
	if err := os.WriteFile(filepath.Join(w.dir, "proof.txt"), []byte(w.proof+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&w.blockedHosts)
	t.Cleanup(proxy.Close)
	w.env = []string{
		"HOME=" + w.home, "TMPDIR=" + w.home, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "LANG=C.UTF-8", "CI=", "NO_COLOR=1", "SHELL=/bin/bash",
		"HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL, "http_proxy=" + proxy.URL, "https_proxy=" + proxy.URL,
		"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1",
	}
	return w
}

// prompt asks for one tool call whose result only the tool can know.
const prompt = "Please run: `cat proof.txt`"

// file writes a file below the agent's home.
func (w *world) file(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(w.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts an agent, which must succeed, and returns its output.
func (w *world) run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := w.start(t, env, name, args...)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return out
}

// attempt starts an agent, which must fail, and returns its output.
func (w *world) attempt(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := w.start(t, env, name, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Errorf("the agent ended with %v\n%s", err, out)
	}
	return out
}

func (w *world) start(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = w.dir, append(append([]string{}, w.env...), env...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	t.Logf("%s ran for %s", filepath.Base(name), time.Since(began).Round(100*time.Millisecond))
	return stdout.String() + stderr.String(), err
}

// check verifies a run: the agent printed the tool's result; the provider got want
// generations, each with its own key; the other providers got none; and no secret leaked.
func (w *world) check(t *testing.T, out string, to *standin.Server, want int) {
	t.Helper()
	if !strings.Contains(out, "Tool said: ") || !strings.Contains(out, w.proof) {
		t.Errorf("the agent's answer is not the tool's result:\n%s", out)
	}
	for _, s := range []*standin.Server{w.openai, w.mine, w.anthropic, w.gemini} {
		calls := s.Generations()
		if s != to && len(calls) > 0 {
			t.Errorf("another provider got a request: %s %s", calls[0].Method, calls[0].Path)
		}
		if s == to && len(calls) != want {
			t.Errorf("the provider got %d requests, want %d", len(calls), want)
			for _, c := range calls {
				t.Logf("%s %s %.1500s … %s", c.Method, c.Path, c.Body, c.Body[max(0, len(c.Body)-1500):])
			}
		}
		for _, seen := range s.Requests() {
			text := seen.Query + string(seen.Body)
			for name, values := range seen.Header {
				text += "\n" + name + ": " + strings.Join(values, ",")
			}
			if strings.Contains(text, "sk_local_") {
				t.Errorf("a bridge token was sent in %s %s", seen.Method, seen.Path)
			}
			if !s.Authorized(seen) {
				t.Errorf("%s %s was sent without the provider's key", seen.Method, seen.Path)
			}
		}
		if strings.Contains(out+w.Log(), s.Key) {
			t.Errorf("the key %.12s… is in an output", s.Key)
		}
	}
	if strings.Contains(w.Log(), w.token) {
		t.Error("the bridge token is in the daemon's log")
	}
	if asked := w.blockedHosts.list(); len(asked) > 0 {
		t.Errorf("the agent requested other hosts: %v", asked)
	}
}
