package reference_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/secret"
)

func TestParse(t *testing.T) {
	for text, ok := range map[string]bool{
		"op://vault/item/field": true, "op://vault/my item/section/field": true, "bw://0a1b/password": true, "pass://ai/openai": true,
		"keyring://svc/me": true, "env://OPENAI_API_KEY": true, "file:///home/me/key": true, "cmd://gcloud-token": true,
		"": false, "sk-123": false, "op://vault": false, "op://-v/i/f": false, "bw://id": false, "pass://": false, "pass://../x": false,
		"env://A B": false, "file://relative": false, "file:///a/../b": false, "cmd://a/b": false, "cmd://--x": false, "http://x/y": false,
		"op://a/b/c\n": false,
	} {
		ref, err := reference.Parse(text)
		if (err == nil) != ok || ok && ref.String() != text {
			t.Errorf("Parse(%q) = %v, %v; want ok %v", text, ref, err, ok)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%q): %v", text, err)
		}
	}
}

// programs creates a directory of shell scripts and returns an environment with it in
// PATH.
func programs(t *testing.T, scripts map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"PATH=" + dir + ":/usr/bin:/bin", "NOTIFY_SOCKET=/x", "MY_KEY=sk-env"}
}

func mustParse(t *testing.T, text string) reference.Reference {
	t.Helper()
	ref, err := reference.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// TestPrograms runs stand-ins for the password managers, working and failing ones.
func TestPrograms(t *testing.T) {
	const canary = "sk-canary-0123456789"
	env := programs(t, map[string]string{
		"op":   `[ "$1 $2 $3" = "read --no-newline op://v/i/f" ] && [ -z "$NOTIFY_SOCKET" ] && printf ` + canary,
		"pass": "echo " + canary + "\necho user: me",
		"bw": `case "$2 $3" in "password 1") echo ` + canary + `;; "item 1") echo '{"fields":[{"name":"api","value":"` + canary + `"}]}';;
"password 2") echo secret-` + canary + ` >&2; echo secret-` + canary + `; exit 7;; esac`,
		"huge":  "yes " + canary,
		"asks":  `printf "Password: " >/dev/tty || exit 3; read x </dev/tty; echo $x`,
		"reads": `read x || exit 4; echo $x`,
		"two":   "echo a; echo b",
		"none":  "true",
		"leave": "sleep 60 & echo " + canary,
	})
	commands := map[string]string{"huge": "huge", "asks": "asks", "reads": "reads", "two": "two", "none": "none", "leave": "leave", "absent": "not-installed"}
	r := reference.New(reference.Config{
		Environ: env,
		Commands: func(name string) (reference.Command, bool) {
			program, ok := commands[name]
			return reference.Command{Argv: []string{program}}, ok
		},
		Keychain: func(_ context.Context, service, account string) (secret.String, error) {
			return secret.New(service + "-" + account), nil
		},
	})
	defer r.Close()
	for text, want := range map[string]string{
		"op://v/i/f": canary, "pass://ai/openai": canary, "bw://1/password": canary, "bw://1/api": canary,
		"keyring://svc/me": "svc-me", "env://MY_KEY": "sk-env", "cmd://leave": canary,
	} {
		key, err := r.Resolve(t.Context(), mustParse(t, text))
		if err != nil || key.Reveal() != want {
			t.Errorf("%s = %q, %v; want %q", text, key.Reveal(), err, want)
		}
	}
	for text, want := range map[string]string{
		"bw://2/password": "bw exited with status 7", "bw://1/other": "no field", "op://v/i/g": "op exited with status 1",
		"cmd://huge": "huge printed more than", "cmd://asks": "asks exited with status", "cmd://reads": "reads exited with status 4",
		"cmd://two": "more than one line", "cmd://none": "gave nothing", "cmd://absent": "PATH", "cmd://undeclared": "declared",
		"env://NOT_SET": "no such variable",
	} {
		_, err := r.Resolve(t.Context(), mustParse(t, text))
		if !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v; want an error with %q", text, err, want)
		}
	}
	if n := r.Forget(); n != 6 {
		t.Errorf("Forget = %d, want the 6 values of programs", n)
	}
}

// TestSlowProgram: a program never finishes. A caller whose context ends is released, and
// the program is killed after the limit.
func TestSlowProgram(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	r := reference.New(reference.Config{
		Environ:  programs(t, map[string]string{"slow": "echo $$ >" + pid + "; sleep 600"}),
		Commands: func(string) (reference.Command, bool) { return reference.Command{Argv: []string{"slow"}}, true },
	})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ref := mustParse(t, "cmd://slow")
	if _, err := r.Resolve(ctx, ref); !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), "has not finished yet") {
		t.Errorf("a canceled caller: %v", err)
	}
	start := time.Now()
	if _, err := r.Resolve(t.Context(), ref); !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), "within 5s") {
		t.Errorf("the limit: %v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	// It has just failed: no second program is started.
	before, _ := os.ReadFile(pid)
	r.Resolve(t.Context(), ref)
	if after, _ := os.ReadFile(pid); string(after) != string(before) {
		t.Error("the program was started again at once")
	}
}

// TestCache: a value is refreshed in the background, and stays valid if that fails.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	r := reference.New(reference.Config{
		Environ: programs(t, map[string]string{"show": "echo x >>" + dir + "/runs; cat " + dir + "/value"}),
		Commands: func(string) (reference.Command, bool) {
			return reference.Command{Argv: []string{"show"}, CacheTTL: time.Minute}, true
		},
		Now: func() time.Time { return now },
	})
	ref := mustParse(t, "cmd://show")
	get := func(want string) {
		t.Helper()
		if key, err := r.Resolve(t.Context(), ref); err != nil || key.Reveal() != want {
			t.Errorf("got %q, %v; want %q", key.Reveal(), err, want)
		}
		r.Close() // waits for the background refresh
	}
	write("value", "one")
	get("one")
	write("value", "two")
	get("one")
	now = now.Add(2 * time.Minute)
	get("one") // starts the next refresh
	get("two")
	os.Remove(filepath.Join(dir, "value"))
	now = now.Add(2 * time.Minute)
	get("two")
	get("two")
	if runs, _ := os.ReadFile(filepath.Join(dir, "runs")); strings.Count(string(runs), "x") != 3 {
		t.Errorf("%d runs, want 3", strings.Count(string(runs), "x"))
	}
	r.Forget()
	if _, err := r.Resolve(t.Context(), ref); !fault.Is(err, fault.Locked) {
		t.Errorf("after Forget: %v", err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	r := reference.New(reference.Config{})
	for name, c := range map[string]struct {
		mode os.FileMode
		text string
		want string
		fail string
	}{
		"good": {0o600, "sk-file\n", "sk-file", ""}, "open": {0o644, "sk-file\n", "", "chmod 600"}, "group": {0o640, "x", "", "chmod 600"},
		"empty": {0o600, "", "", "gave nothing"}, "long": {0o600, strings.Repeat("x", 17<<10), "", "longer than"},
	} {
		path := filepath.Join(dir, name)
		os.WriteFile(path, []byte(c.text), c.mode)
		os.Chmod(path, c.mode)
		key, err := r.Resolve(t.Context(), mustParse(t, "file://"+path))
		if key.Reveal() != c.want || c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) || c.fail == "" && err != nil {
			t.Errorf("%s = %q, %v", name, key.Reveal(), err)
		}
	}
	link := filepath.Join(dir, "link")
	os.Symlink(filepath.Join(dir, "good"), link)
	for _, path := range []string{link, dir, filepath.Join(dir, "nothing")} {
		if _, err := r.Resolve(t.Context(), mustParse(t, "file://"+path)); err == nil {
			t.Errorf("%s gave a key", path)
		}
	}
}
