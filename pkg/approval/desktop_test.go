package approval_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/approval"
)

// fakeDesktop is a directory of stand-ins for a desktop's programs.
type fakeDesktop struct {
	dir string
	env map[string]string
}

func newFakeDesktop(t *testing.T, programs map[string]string, env map[string]string) (*approval.Desktop, fakeDesktop) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("shell scripts")
	}
	d := fakeDesktop{t.TempDir(), env}
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	goos := "linux"
	if env["GOOS"] != "" {
		goos = env["GOOS"]
	}
	return &approval.Desktop{GOOS: goos, Getenv: func(name string) string { return env[name] }, Look: func(name string) (string, error) {
		return exec.LookPath(filepath.Join(d.dir, name))
	}}, d
}

// gdbus returns a stand-in for gdbus: a notification server with buttons, and a monitor
// that prints the given signals.
func gdbus(signals string) string {
	return `
case "$*" in
*GetCapabilities*) echo "(['body', 'actions'],)" ;;
monitor*)
	echo "Monitoring signals on object /org/freedesktop/Notifications owned by org.freedesktop.Notifications"
	echo "The name org.freedesktop.Notifications is owned by :1.2"
	while [ ! -e "$(dirname "$0")/sent" ]; do sleep 0.02; done
	` + signals + `
	sleep 60 ;;
*Notifications.Notify*) printf '%s\n' "$@" >"$(dirname "$0")/sent"; echo "(uint32 7,)" ;;
*CloseNotification*) echo "$@" >"$(dirname "$0")/closed"; echo "()" ;;
esac`
}

const invoked = "/org/freedesktop/Notifications: org.freedesktop.Notifications.ActionInvoked (uint32 7, 'allow')"

// TestDesktop asks with each method; only an explicit answer of the program counts.
func TestDesktop(t *testing.T) {
	bus := map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
	display := map[string]string{"DISPLAY": ":0"}
	question := approval.Question{Title: "May it?", Lines: []string{"https://app.example", "Models: a&b <i>it's</i>"}}
	for _, c := range []struct {
		name     string
		programs map[string]string
		env      map[string]string
		there    bool
		want     approval.Answer
	}{
		{"nothing at all", nil, nil, false, approval.NoAnswer},
		{"programs without a display or bus", map[string]string{"gdbus": gdbus("echo x"), "zenity": "exit 0"}, nil, false, approval.NoAnswer},
		{"a bus without a server", map[string]string{"gdbus": "exit 1"}, bus, false, approval.NoAnswer},
		{"a server without buttons", map[string]string{"gdbus": `echo "(['body'],)"`}, bus, false, approval.NoAnswer},
		{"a server that never responds", map[string]string{"gdbus": "sleep 60"}, bus, false, approval.NoAnswer},
		{"allowed", map[string]string{"gdbus": gdbus(`echo "` + invoked + `"`)}, bus, true, approval.Allow},
		{"denied", map[string]string{"gdbus": gdbus(`echo "` + strings.ReplaceAll(invoked, "allow", "deny") + `"`)}, bus, true, approval.Deny},
		{"closed", map[string]string{"gdbus": gdbus(`echo "` + strings.ReplaceAll(strings.ReplaceAll(invoked, "'allow'", "uint32 2"), "ActionInvoked", "NotificationClosed") + `"`)}, bus, true, approval.NoAnswer},
		{"another notification's button, then ours", map[string]string{"gdbus": gdbus(`echo "` + strings.ReplaceAll(invoked, "7", "8") + `"; echo "` + strings.ReplaceAll(invoked, "allow", "deny") + `"`)}, bus, true, approval.Deny},
		{"another signal that contains the same text", map[string]string{"gdbus": gdbus(`echo "/org/freedesktop/Notifications: org.evil.X ('` + strings.ReplaceAll(invoked, "'", `\\'`) + `',)"; exit`)}, bus, true, approval.NoAnswer},
		{"zenity allows", map[string]string{"zenity": "exit 0"}, display, true, approval.Allow},
		{"zenity denies", map[string]string{"zenity": "exit 1"}, display, true, approval.Deny},
		{"zenity times out", map[string]string{"zenity": "exit 5"}, display, true, approval.NoAnswer},
		{"zenity is killed", map[string]string{"zenity": "kill -9 $$"}, display, true, approval.NoAnswer},
		{"kdialog allows", map[string]string{"kdialog": "exit 0"}, display, true, approval.Allow},
		{"kdialog denies", map[string]string{"kdialog": "exit 1"}, display, true, approval.Deny},
		{"kdialog fails", map[string]string{"kdialog": "exit 254"}, display, true, approval.NoAnswer},
		{"macOS allows", map[string]string{"osascript": `[ "$1" = -e ] && echo allow`}, map[string]string{"GOOS": "darwin"}, true, approval.Allow},
		{"macOS denies", map[string]string{"osascript": "echo deny"}, map[string]string{"GOOS": "darwin"}, true, approval.Deny},
		{"the dialog of macOS times out", map[string]string{"osascript": "echo none"}, map[string]string{"GOOS": "darwin"}, true, approval.NoAnswer},
		{"macOS without a screen", map[string]string{"osascript": "echo allow; exit 1"}, map[string]string{"GOOS": "darwin"}, true, approval.NoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, _ := newFakeDesktop(t, c.programs, c.env)
			if got := d.Available(t.Context()); got != c.there {
				t.Fatalf("Available = %v, want %v", got, c.there)
			}
			if got := d.Ask(t.Context(), question); got != c.want {
				t.Errorf("Ask = %v, want %v", got, c.want)
			}
		})
	}
}

// TestNotificationText: text from a request cannot become markup or end its string.
func TestNotificationText(t *testing.T) {
	d, where := newFakeDesktop(t, map[string]string{"gdbus": gdbus(`echo "` + invoked + `"`)}, map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"})
	if got := d.Ask(t.Context(), approval.Question{Title: `May 'it'?`, Lines: []string{"a", `<b>x</b> & 'y' \`}}); got != approval.Allow {
		t.Fatalf("Ask = %v", got)
	}
	sent, err := os.ReadFile(filepath.Join(where.dir, "sent"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`'May \'it\'?'`, `'a\n&lt;b&gt;x&lt;/b&gt; &amp; \'y\' \\'`} {
		if !strings.Contains(string(sent), want) {
			t.Errorf("%s is not in gdbus's arguments:\n%s", want, sent)
		}
	}
	if closed, _ := os.ReadFile(filepath.Join(where.dir, "closed")); !strings.Contains(string(closed), "uint32 7") {
		t.Errorf("the notification stays: %s", closed)
	}
}

// TestDialogEnds: when its context ends, a dialog and all its child processes are killed.
func TestDialogEnds(t *testing.T) {
	d, where := newFakeDesktop(t, map[string]string{"zenity": `(sleep 60) & echo $! >"$(dirname "$0")/pid.new"; mv "$(dirname "$0")/pid.new" "$(dirname "$0")/pid"; wait; exit 0`}, map[string]string{"WAYLAND_DISPLAY": "w"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(where.dir, "pid")); err == nil || ctx.Err() != nil {
				cancel()
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if got := d.Ask(ctx, approval.Question{Title: "May it?"}); got != approval.NoAnswer {
		t.Errorf("Ask = %v", got)
	}
	pid, _ := os.ReadFile(filepath.Join(where.dir, "pid"))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a child process of the dialog is still running")
		}
	}
}

// TestBus: the bus is found at systemd's path in XDG_RUNTIME_DIR; none is started.
func TestBus(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "hl-bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	env := map[string]string{"XDG_RUNTIME_DIR": dir}
	server := map[string]string{"gdbus": `[ "$DBUS_SESSION_BUS_ADDRESS" = "unix:path=` + dir + `/bus" ] && echo "(['actions'],)"`}
	if d, _ := newFakeDesktop(t, server, env); d.Available(t.Context()) {
		t.Error("a bus that does not exist is used")
	}
	l, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if d, _ := newFakeDesktop(t, server, env); !d.Available(t.Context()) {
		t.Error("the bus in XDG_RUNTIME_DIR is not found")
	}
}
