package connect

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// handler runs `hostless url-handler` in its own home, with a browser that records the
// URLs it gets.
type handler struct {
	*harness.Daemon
	home, shown string
	env         []string
}

func newHandler(t *testing.T) *handler {
	t.Helper()
	h := &handler{Daemon: start(t), home: t.TempDir()}
	h.shown = filepath.Join(h.home, "shown")
	bin := filepath.Join(h.home, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\nprintf '%s' \"$1\" >>"+h.shown+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.Env, "HOME="+h.home, "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "DISPLAY=", "WAYLAND_DISPLAY=", "BROWSER=", "PATH="+bin+":"+os.Getenv("PATH"))
	return h
}

func (h *handler) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), append([]string{"url-handler"}, args...)...)
	cmd.Env = h.env
	return cmd
}

// TestURLHandler installs the handler, opens a link through what was installed, and
// uninstalls it.
func TestURLHandler(t *testing.T) {
	h := newHandler(t)
	list := filepath.Join(h.home, ".config", "mimeapps.list")
	os.MkdirAll(filepath.Dir(list), 0o755)
	const before = "[Default Applications]\ntext/html=firefox.desktop\n\n[Added Associations]\ntext/html=firefox.desktop;\n"
	os.WriteFile(list, []byte(before), 0o644)
	for range 2 {
		if out, err := h.command(t, "install").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	entry := filepath.Join(h.home, ".local", "share", "applications", "hostless-url-handler.desktop")
	data, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(data); !strings.Contains(text, "MimeType=x-scheme-handler/authmatic;x-scheme-handler/hostless;\n") || !strings.Contains(text, "Exec=env HOSTLESS_HOME="+h.Daemon.Home+" ") || !strings.Contains(text, " url-handler open %u\n") {
		t.Errorf("%s", text)
	}
	chosen, _ := os.ReadFile(list)
	if text := string(chosen); strings.Count(text, "x-scheme-handler/authmatic=hostless-url-handler.desktop") != 1 || !strings.Contains(text, "text/html=firefox.desktop\n") || strings.Count(text, "[Default Applications]") != 1 {
		t.Errorf("%s", text)
	}
	if path, err := exec.LookPath("xdg-mime"); err == nil {
		cmd := exec.Command(path, "query", "default", "x-scheme-handler/authmatic")
		cmd.Env = h.env
		if out, _ := cmd.Output(); strings.TrimSpace(string(out)) != "hostless-url-handler.desktop" {
			t.Errorf("xdg-mime: %s", out)
		}
	}

	payload, _ := json.Marshal(map[string]any{"origin": "https://app.example", "callback": "https://app.example/back?room=1", "state": "s1", "allowed_models": []string{"echo/*"}})
	link := "authmatic://register?" + url.Values{"data": {string(payload)}, "origin": {"https://app.example"}}.Encode()
	for _, c := range []struct {
		answer, want string
		code         int
	}{
		{"approve", "https://app.example/back?room=1&port=" + h.Port + "&local_url=http%3A%2F%2Flocalhost%3A" + h.Port + "&state=s1&expires_in=3600#token=sk_local_", 0},
		{"deny", "https://app.example/back?room=1#error=denied&state=s1", 1},
	} {
		os.Remove(h.shown)
		cmd := h.command(t, "open", link)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stderr, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); len(waiting(t, h.Daemon)) == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the request is not pending")
			}
		}
		h.Must(c.answer, waiting(t, h.Daemon)[0].ID)
		cmd.Wait()
		shown, _ := os.ReadFile(h.shown)
		if cmd.ProcessState.ExitCode() != c.code || !strings.HasPrefix(string(shown), c.want) {
			t.Errorf("%s: exit %d, shown %s\n%s", c.answer, cmd.ProcessState.ExitCode(), shown, stderr.String())
		}
		if strings.Contains(stderr.String(), "sk_local_") || !strings.Contains(stderr.String(), "hostless approve ") {
			t.Errorf("%s: %s", c.answer, stderr.String())
		}
	}
	for _, bad := range []string{"https://app.example/", "authmatic://other?data={}", "authmatic://register", "authmatic://register?data=%7B", "authmatic://register?origin=https://a.example"} {
		cmd := h.command(t, "open", bad)
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != 2 {
			t.Errorf("%s: exit %d, want 2", bad, got)
		}
	}
	evil := h.command(t, "open", "authmatic://register?origin=https://app.example&callback=https://evil.example/")
	evil.Run()
	if got := evil.ProcessState.ExitCode(); got != 1 || len(waiting(t, h.Daemon)) != 0 {
		t.Errorf("a callback elsewhere: exit %d", got)
	}

	if out, err := h.command(t, "uninstall").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if after, _ := os.ReadFile(list); string(after) != before {
		t.Errorf("mimeapps.list is not as it was:\n%s", after)
	}
	if _, err := os.Stat(entry); err == nil {
		t.Error("the entry is still there")
	}
	if out, err := h.command(t, "uninstall").CombinedOutput(); err != nil {
		t.Errorf("uninstall twice: %v %s", err, out)
	}
}
