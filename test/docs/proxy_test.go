// Package docs runs the commands printed in the documentation.
package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

// request is a printed request with the response printed below it.
type request struct {
	line          int
	script, shown string
}

// read extracts the setup and the requests from a page: ```sh blocks, each followed by a
// ```text block that begins with the status.
func read(t *testing.T, page string) (setup string, requests []request) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	block := func(i int) (string, int) {
		for j := i + 1; j < len(lines); j++ {
			if lines[j] == "```" {
				return strings.Join(lines[i+1:j], "\n") + "\n", j
			}
		}
		t.Fatalf("%s:%d: the block does not end", page, i+1)
		return "", 0
	}
	for i := 0; i < len(lines); i++ {
		switch lines[i] {
		case "```sh setup":
			setup, i = block(i)
		case "```sh":
			r := request{line: i + 1}
			r.script, i = block(i)
			if i+2 < len(lines) && lines[i+2] == "```text" {
				r.shown, i = block(i + 2)
			}
			requests = append(requests, r)
		}
	}
	if setup == "" {
		t.Fatalf("%s has no setup", page)
	}
	return setup, requests
}

// curl is a shell function that replaces curl and prints the status after the response.
const curl = `curl() { command curl -sS --max-time 30 -w '\n%{http_code}\n' "$@"; }` + "\n"

// TestProxyAPI runs every request of docs/proxy-api.md as it is printed, with the real
// binaries and stand-ins for the providers. It compares the response with the printed
// one: the status, and the parts between the dots, in order.
func TestProxyAPI(t *testing.T) {
	bash, _ := harness.Need(t, "bash"), harness.Need(t, "curl")
	setup, requests := read(t, "proxy-api.md")
	if len(requests) < 50 {
		t.Fatalf("only %d requests were found", len(requests))
	}
	d := harness.Start(t)
	if !strings.Contains(setup, "http://localhost:48282") {
		t.Fatalf("the setup does not name the daemon: %s", setup)
	}
	setup = strings.ReplaceAll(setup, "http://localhost:48282", d.URL)
	stands := map[string]*standin.Server{
		"openai": standin.OpenAI(t, "sk-proj-canary-openai-000000000000"), "anthropic": standin.Anthropic(t, "sk-ant-canary-0000000000000000"),
		"google": standin.Gemini(t, "AIzaCanary0000000000000000000000000000"), "mine": standin.OpenAI(t, "key-of-mine-canary-0000000"),
	}
	for name, s := range stands {
		if r := d.CLIWith(s.Key, "keys", "add", name, "-", "--base-url", s.URL); r.Code != 0 {
			t.Fatalf("keys add %s: %s", name, r.Stderr)
		}
	}
	for _, r := range requests {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, bash, "-c", setup+curl+r.script)
		cmd.Dir = t.TempDir()
		cmd.Env = append(d.Env, "PATH="+harness.Bin(t)+":"+os.Getenv("PATH"), "no_proxy=*")
		out, err := cmd.CombinedOutput()
		cancel()
		answer := strings.TrimSpace(string(out))
		end := max(strings.LastIndexByte(answer, '\n'), 0)
		status := strings.TrimSpace(answer[end:])
		want, fragments, _ := strings.Cut(r.shown, " ")
		if err != nil || strings.TrimSpace(want) == "" || status != strings.TrimSpace(want) {
			t.Errorf("proxy-api.md:%d: status %s, %v; shown %q\n%s%.4000s", r.line, status, err, want, r.script, answer)
			continue
		}
		rest := answer[:end]
		for line := range strings.Lines(rest) {
			if early := strings.TrimSpace(line); len(early) == 3 && early >= "400" && early <= "599" {
				t.Errorf("proxy-api.md:%d: one of several requests has status %s\n%s%.4000s", r.line, early, r.script, answer)
			}
		}
		for _, fragment := range strings.FieldsFunc(fragments, func(c rune) bool { return c == '…' || c == '\n' }) {
			fragment = strings.TrimSpace(fragment)
			i := strings.Index(rest, fragment)
			if i < 0 {
				t.Errorf("proxy-api.md:%d: %q is not in the answer, or not there\n%s%.4000s", r.line, fragment, r.script, answer)
				break
			}
			rest = rest[i+len(fragment):]
		}
	}
	for name, s := range stands {
		if strings.Contains(d.Log(), s.Key) {
			t.Errorf("%s's key is in the log", name)
		}
		for _, seen := range s.Requests() {
			if !s.Authorized(seen) {
				t.Errorf("%s: %s %s was sent without the provider's key", name, seen.Method, seen.Path)
			}
		}
	}
}
