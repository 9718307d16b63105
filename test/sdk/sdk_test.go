// Package sdk runs the providers' own SDKs with the real binaries and stand-ins for the
// providers: each must work with only a base URL and a key.
package sdk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

// world is a daemon with a key for each stand-in.
type world struct {
	*harness.Daemon
	openai, mine, anthropic, gemini *standin.Server
	token                           string
	env                             []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		openai: standin.OpenAI(t, "sk-proj-canary-openai-000000000000"), mine: standin.OpenAI(t, "key-of-mine-canary-0000000"),
		anthropic: standin.Anthropic(t, "sk-ant-canary-0000000000000000"), gemini: standin.Gemini(t, "AIzaCanary0000000000000000000000000000"),
	}
	w.Daemon = harness.Start(t)
	for name, s := range map[string]*standin.Server{"openai": w.openai, "mine": w.mine, "anthropic": w.anthropic, "google": w.gemini} {
		base := s.URL // with or without the version path
		if name == "mine" || name == "google" {
			base += map[string]string{"mine": "/v1", "google": "/v1beta"}[name]
		}
		if r := w.CLIWith(s.Key, "keys", "add", name, "-", "--base-url", base); r.Code != 0 {
			t.Fatalf("keys add %s: %s", name, r.Stderr)
		}
	}
	w.token = w.Must("token", "create", "--name", "sdk")
	scoped := w.Must("token", "create", "--name", "scoped", "--providers", "anthropic")
	w.env = append(w.Env, "HOSTLESS_TOKEN="+w.token, "HOSTLESS_SCOPED="+scoped, "HOSTLESS_URL="+w.URL, "HOSTLESS_API="+w.URL+"/v1",
		"HOSTLESS_WS=ws://localhost:"+w.Port, "NO_PROXY=localhost,127.0.0.1")
	return w
}

// noKeyLeaks checks that no provider key is in the output and no bridge token was sent to
// a provider.
func (w *world) noKeyLeaks(t *testing.T, outputs ...string) {
	t.Helper()
	all := strings.Join(append(outputs, w.Log()), "\n")
	for _, s := range []*standin.Server{w.openai, w.mine, w.anthropic, w.gemini} {
		if strings.Contains(all, s.Key) {
			t.Errorf("the key %.12s… is in an output", s.Key)
		}
		for _, seen := range s.Requests() {
			text := seen.Query + string(seen.Body)
			for name, values := range seen.Header {
				text += "\n" + name + ": " + strings.Join(values, ",")
			}
			if strings.Contains(text, "sk_local_") {
				t.Errorf("a bridge token was sent in %s %s", seen.Method, seen.Path)
			}
		}
	}
}

func command(t *testing.T, dir string, env []string, limit time.Duration, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var npm = sync.OnceValue(func() error {
	stamp, _ := os.Stat("node/node_modules/.package-lock.json")
	lock, err := os.Stat("node/package-lock.json")
	if err != nil || (stamp != nil && stamp.ModTime().After(lock.ModTime())) {
		return err
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = "node"
	out, err := cmd.CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return err
})

// node returns the directory with the SDKs, which the first call installs.
func node(t *testing.T) string {
	t.Helper()
	harness.Need(t, "node")
	harness.Need(t, "npm")
	if testing.Short() {
		t.Skip("the SDKs are not installed in a short run")
	}
	if err := npm(); err != nil {
		harness.Missing(t, "the SDKs cannot be installed: ", err)
	}
	dir, _ := filepath.Abs("node")
	return dir
}

func TestNode(t *testing.T) {
	dir := node(t)
	for _, name := range []string{"openai", "anthropic", "genai", "ollama", "aisdk"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			out, err := command(t, dir, w.env, 2*time.Minute, "node", "--test", "--test-reporter=spec", name+".test.mjs")
			if err != nil {
				t.Errorf("%v\n%s", err, failures(out))
			}
			w.noKeyLeaks(t, out)
		})
	}
}

// failures reduces a report to the failures.
func failures(out string) string {
	if _, rest, ok := strings.Cut(out, "failing tests:"); ok {
		return rest
	}
	return out
}

var python = sync.OnceValues(func() (string, error) {
	requirements, err := os.ReadFile("python/requirements.txt")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(requirements)
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "hostless-test", "python-"+hex.EncodeToString(sum[:6]))
	bin := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
		return bin, nil
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", dir},
		{bin, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "python/requirements.txt"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			os.Stderr.Write(out)
			return "", err
		}
	}
	return bin, os.WriteFile(filepath.Join(dir, "ready"), nil, 0o644)
})

// venv returns a Python with the SDKs.
func venv(t *testing.T) string {
	t.Helper()
	harness.Need(t, "python3")
	if testing.Short() {
		t.Skip("the SDKs are not installed in a short run")
	}
	bin, err := python()
	if err != nil {
		harness.Missing(t, "the SDKs cannot be installed: ", err)
	}
	return bin
}

func TestPython(t *testing.T) {
	bin := venv(t)
	w := newWorld(t)
	out, err := command(t, "python", w.env, 2*time.Minute, bin, "-m", "unittest", "-v", "test_sdk")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	w.noKeyLeaks(t, out)
}

// TestReadmeWebSocket runs the two programs in the README as they are printed.
func TestReadmeWebSocket(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(harness.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) []byte {
		m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(readme)
		if m == nil {
			t.Fatalf("the README has no %s program", language)
		}
		return m[1]
	}
	check := func(t *testing.T, w *world, out string, err error) {
		t.Helper()
		if err != nil || !strings.Contains(out, "1 resp_ws_1") || !strings.Contains(out, "2 resp_ws_2") {
			t.Errorf("%v\n%s", err, out)
		}
		var second standin.Seen
		for _, seen := range w.openai.Requests() {
			if strings.HasSuffix(seen.Path, "/responses") {
				second = seen
			}
		}
		if got := second.Header.Get("Authorization"); got != "Bearer "+w.openai.Key {
			t.Error("the socket was opened without the provider's key")
		}
		w.noKeyLeaks(t, out)
	}
	t.Run("node", func(t *testing.T) {
		dir := node(t)
		w := newWorld(t)
		file := filepath.Join(dir, "readme.gen.mjs")
		if err := os.WriteFile(file, block("javascript"), 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file)
		out, err := command(t, dir, w.env, time.Minute, "node", file)
		check(t, w, out, err)
	})
	t.Run("python", func(t *testing.T) {
		bin := venv(t)
		w := newWorld(t)
		file := filepath.Join(t.TempDir(), "readme.py")
		if err := os.WriteFile(file, block("python"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, "", w.env, time.Minute, bin, file)
		check(t, w, out, err)
	})
}

// TestBytesGoUpUnchanged: a request in a provider's own dialect reaches the provider byte
// for byte, except for the model's prefix.
func TestBytesGoUpUnchanged(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		path, sent, want string
		to               *standin.Server
	}{
		{"/v1/chat/completions", "{ \"messages\" : [ {\"role\":\"user\",\"content\":\"\\u00e9 <b>\"} ],\n\t\"model\":\"gpt-4o-mini\", \"x\":1.0000000000000000001 }", "", w.openai},
		{"/v1/chat/completions", `{"model" : "mine/a/b","messages":[],"z":null}`, `{"model" : "a/b","messages":[],"z":null}`, w.mine},
		{"/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":7,"messages":[{"role":"user","content":"x"}], "betaField":{"b":1,"a":2}}`, "", w.anthropic},
		{"/v1beta/models/gemini-2.5-flash:generateContent", `{"contents":[{"parts":[{"text":"x"}]}] ,"unknown":[1e400]}`, "", w.gemini},
	} {
		want := c.want
		if want == "" {
			want = c.sent
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+c.path, strings.NewReader(c.sent))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + w.token}, "Content-Type": {"application/json"}, "Anthropic-Version": {"2023-06-01"}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %s", c.path, resp.Status, out)
			continue
		}
		if got := c.to.Last(t).Body; !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s:\n got %s\nwant %s", c.path, got, want)
		}
	}
}
