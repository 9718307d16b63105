package approval

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Desktop asks through the programs of a desktop, each in its own process, so that a
// session bus or window system that hangs does not block the daemon. On Linux it uses a
// notification with buttons (org.freedesktop.Notifications, through gdbus), or else a
// dialog of zenity or kdialog; on macOS a dialog of osascript.
//
// Only an explicit result of the program counts as an answer: the button's name, or exit
// code 0 of a dialog with two buttons.
type Desktop struct {
	GOOS   string
	Getenv func(string) string
	// Look finds a program; nil means exec.LookPath.
	Look func(string) (string, error)

	mu      sync.Mutex
	checked time.Time
	chosen  method
}

// method is one way to ask. nil means that there is none.
type method func(ctx context.Context, q Question) Answer

// checkEvery is how long the choice of a method is cached.
const checkEvery = 15 * time.Second

// Available reports whether a method works. It may query the session bus, which takes a
// moment.
func (d *Desktop) Available(ctx context.Context) bool { return d.method(ctx) != nil }

// Ask shows the question with the method that works.
func (d *Desktop) Ask(ctx context.Context, q Question) Answer {
	m := d.method(ctx)
	if m == nil {
		return NoAnswer
	}
	return m(ctx, q)
}

func (d *Desktop) method(ctx context.Context) method {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.checked.IsZero() && time.Since(d.checked) < checkEvery {
		return d.chosen
	}
	d.chosen = d.choose(context.WithoutCancel(ctx)) // WithoutCancel: the result is cached for other callers
	d.checked = time.Now()
	return d.chosen
}

func (d *Desktop) choose(ctx context.Context) method {
	look := d.Look
	if look == nil {
		look = exec.LookPath
	}
	find := func(name string) string {
		path, err := look(name)
		if err != nil || !filepath.IsAbs(path) {
			return ""
		}
		return path
	}
	if d.GOOS == "darwin" {
		if path := find("osascript"); path != "" {
			return func(ctx context.Context, q Question) Answer { return macDialog(ctx, path, q) }
		}
		return nil
	}
	if bus := d.bus(); bus != "" {
		env := append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+bus)
		if path := find("gdbus"); path != "" {
			n := notifications{gdbus: path, env: env}
			if n.takeActions(ctx) {
				return n.ask
			}
		}
	}
	if d.Getenv("DISPLAY") == "" && d.Getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	if path := find("zenity"); path != "" {
		return func(ctx context.Context, q Question) Answer { return zenity(ctx, path, q) }
	}
	if path := find("kdialog"); path != "" {
		return func(ctx context.Context, q Question) Answer { return kdialog(ctx, path, q) }
	}
	return nil
}

// bus returns the address of the user's session bus, or "". It never starts one.
func (d *Desktop) bus() string {
	if address := d.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address
	}
	if dir := d.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		path := filepath.Join(dir, "bus")
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			return "unix:path=" + path
		}
	}
	return ""
}

// program makes a command that is killed, with all its descendants, when ctx ends.
func program(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	cmd.WaitDelay = time.Second
	return cmd
}

// byExit runs a dialog with two buttons and maps its exit code to an answer.
func byExit(ctx context.Context, cmd *exec.Cmd) Answer {
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return NoAnswer
	case err == nil:
		return Allow
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return Deny
	}
	return NoAnswer // killed by a signal, timed out, or no display
}

func zenity(ctx context.Context, path string, q Question) Answer {
	return byExit(ctx, program(ctx, path, "--question", "--title=Hostless", "--no-markup", "--default-cancel", "--width=420",
		"--ok-label=Allow for an hour", "--cancel-label=Deny", "--text="+q.text()))
}

// kdialog interprets the text of --yesno as rich text if it looks like it.
func kdialog(ctx context.Context, path string, q Question) Answer {
	return byExit(ctx, program(ctx, path, "--title", "Hostless", "--yes-label", "Allow for an hour", "--no-label", "Deny", "--yesno", q.text()))
}

func (q Question) text() string { return q.Title + "\n\n" + strings.Join(q.Lines, "\n") }

// markup returns the body of the notification. Servers that do not support the elements
// show their text (Desktop Notifications Specification, "Markup").
func (q Question) markup() string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(strings.Join(q.Lines, "\n"))
}

// named maps a button's name to an answer.
func named(button string) Answer {
	switch button {
	case "allow":
		return Allow
	case "deny":
		return Deny
	}
	return NoAnswer
}

// notifications calls org.freedesktop.Notifications through gdbus.
type notifications struct {
	gdbus string
	env   []string
}

const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = "/org/freedesktop/Notifications"
)

func (n notifications) call(ctx context.Context, method string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cmd := program(ctx, n.gdbus, append([]string{
		"call", "--session", "--timeout", "2", "--dest", notifyName, "--object-path", notifyPath, "--method", notifyName + "." + method, "--"}, args...)...)
	cmd.Env = n.env
	out, err := cmd.Output()
	return string(out), err
}

// takeActions reports whether a notification server is running that supports buttons.
func (n notifications) takeActions(ctx context.Context) bool {
	out, err := n.call(ctx, "GetCapabilities")
	return err == nil && strings.Contains(out, "'actions'")
}

var (
	notifyID = regexp.MustCompile(`^\(uint32 (\d+),\)`)
	// signal matches a signal as gdbus monitor prints it. gdbus passes on only signals of
	// the name's owner.
	signal = regexp.MustCompile(`: ` + regexp.QuoteMeta(notifyName) + `\.(ActionInvoked|NotificationClosed) \(uint32 (\d+), (?:'(\w+)'|uint32 \d+)\)$`)
)

func (n notifications) ask(ctx context.Context, q Question) Answer {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	monitor := program(watch, n.gdbus, "monitor", "--session", "--dest", notifyName, "--object-path", notifyPath)
	monitor.Env = n.env
	out, err := monitor.StdoutPipe()
	if err != nil || monitor.Start() != nil {
		return NoAnswer
	}
	defer monitor.Wait()
	defer cancel()
	lines := bufio.NewReader(io.LimitReader(out, 1<<20))
	if !watching(lines) {
		return NoAnswer
	}
	// Arguments are in GVariant's text format: quoted and escaped strings.
	sent, err := n.call(ctx, "Notify", "'Hostless'", "uint32 0", "'dialog-password'", gvariant(q.Title), gvariant(q.markup()),
		"['allow', 'Allow for an hour', 'deny', 'Deny']", "{'urgency': <byte 2>, 'resident': <true>}", "int32 0")
	m := notifyID.FindStringSubmatch(sent)
	if err != nil || m == nil {
		return NoAnswer
	}
	answer := awaitSignal(lines, m[1])
	closing, stop := context.WithTimeout(context.Background(), 3*time.Second)
	defer stop()
	n.call(closing, "CloseNotification", "uint32 "+m[1])
	return answer
}

// watching waits for the two lines that gdbus monitor prints once it receives signals,
// the second of which names the owner.
func watching(lines *bufio.Reader) bool {
	for range 2 {
		if _, err := lines.ReadString('\n'); err != nil {
			return false
		}
	}
	return true
}

// awaitSignal reads signals until the notification with this id is answered or closed.
func awaitSignal(lines *bufio.Reader, id string) Answer {
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return NoAnswer
		}
		m := signal.FindSubmatch(bytes.TrimSpace(line))
		if m == nil || string(m[2]) != id {
			continue
		}
		return named(string(m[3]))
	}
}

// gvariant quotes a string in GVariant's text format.
func gvariant(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}

// macScript shows a dialog. Its arguments are only displayed, never evaluated as script.
const macScript = `on run argv
set answer to display dialog (item 1 of argv) with title "Hostless" buttons {"Deny", "Allow for an hour"} default button "Deny" with icon caution giving up after 120
if gave up of answer then return "none"
if button returned of answer is "Deny" then return "deny"
return "allow"
end run`

func macDialog(ctx context.Context, path string, q Question) Answer {
	out, err := program(ctx, path, "-e", macScript, q.text()).Output()
	if err != nil || ctx.Err() != nil {
		return NoAnswer
	}
	return named(strings.TrimSpace(string(out)))
}
