package systemd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// logins is the directory through which the inner run asks the outer one, which is root,
// to log in its user and run a command, and through which it reads the output.
func logins(dir string) string { return filepath.Join(dir, "logins") }

// serveLogins serves the inner run's requests until ctx ends: it runs the command in the
// file `ask` with `su -` in the inner run's namespaces, and writes the output to the file
// `answer`.
func serveLogins(ctx context.Context, dir string) error {
	if err := os.Mkdir(logins(dir), 0o777); err != nil {
		return err
	}
	if err := os.Chmod(logins(dir), 0o777); err != nil {
		return err
	}
	go func() {
		for ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			ask, err := os.ReadFile(filepath.Join(logins(dir), "ask"))
			if err != nil {
				continue
			}
			os.Remove(filepath.Join(logins(dir), "ask"))
			pid, user := innerRun(dir)
			out, err := exec.CommandContext(ctx, "nsenter", "--target="+strconv.Itoa(pid), "--mount", "--pid", "--net", "su", "-", user, "-c", string(ask)).CombinedOutput()
			if err != nil {
				out = fmt.Appendf(out, "\n%v", err)
			}
			part := filepath.Join(dir, "answer.part")
			os.WriteFile(part, out, 0o644)
			os.Rename(part, filepath.Join(logins(dir), "answer"))
		}
	}()
	return nil
}

// innerRun returns the inner run's process id in this namespace, and its user.
func innerRun(dir string) (pid int, user string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, _ := os.ReadFile(path)
		program, _ := os.Readlink(filepath.Join(filepath.Dir(path), "exe"))
		if !bytes.Contains(environ, []byte(inside+"="+dir)) || filepath.Dir(program) != dir || filepath.Base(program) != filepath.Base(os.Args[0]) {
			continue
		}
		for variable := range strings.SplitSeq(string(environ), "\x00") {
			if name, ok := strings.CutPrefix(variable, "USER="); ok {
				user = name
			}
		}
		pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
	}
	return pid, user
}

// found: the client finds the service's daemon in any environment.
func found(t *testing.T) {
	health(t, "127.0.0.1")
	want := mainPID()
	home := "HOME=" + os.Getenv("HOME")
	for what, env := range map[string][]string{
		"env -i":                    {home, "PATH=" + os.Getenv("PATH")},
		"a foreign XDG_RUNTIME_DIR": {home, "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=/run/user/0"},
		"one that does not exist":   {home, "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=/no/such/dir"},
	} {
		for _, args := range [][]string{{"status", "--json"}, {"list"}, {"service", "status", "--json"}, {"proxy", "start", "--json"}} {
			cmd := exec.Command(client(), args...)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			if err != nil || strings.HasSuffix(args[len(args)-1], "json") && !strings.Contains(string(out), fmt.Sprintf(`"pid":%d`, want)) {
				t.Errorf("%s, hostless %s: %v\n%s", what, strings.Join(args, " "), err, out)
			}
		}
	}
	if out := login(t, client()+" status --json"); !strings.Contains(out, fmt.Sprintf(`"pid":%d`, want)) {
		t.Errorf("su -, hostless status: %s", out)
	}
	if out := login(t, `echo "dir=$XDG_RUNTIME_DIR"; `+client()+" service status --json; exit 0"); !strings.Contains(out, fmt.Sprintf(`"pid":%d`, want)) {
		t.Errorf("su -, hostless service status: %s", out)
	}
	if now := mainPID(); now != want {
		t.Errorf("the daemon was %d and is %d", want, now)
	}
}

// login runs a command line in a login of this user opened by root.
func login(t *testing.T, line string) (out string) {
	t.Helper()
	dir := logins(os.Getenv(inside))
	part := filepath.Join(dir, "part")
	if err := os.WriteFile(part, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(dir, "ask")); err != nil {
		t.Fatal(err)
	}
	answer := filepath.Join(dir, "answer")
	eventually(t, "the login's answer", func() bool {
		data, err := os.ReadFile(answer)
		out = string(data)
		return err == nil
	})
	if err := os.Remove(answer); err != nil {
		t.Fatal(err)
	}
	return out
}

// sandbox turns the mount sandbox on, which works if this system supports it, and
// otherwise is refused without a change; and then off again.
func sandbox(t *testing.T) {
	health(t, "127.0.0.1")
	before := mainPID()
	dropIn := filepath.Join(os.Getenv("HOME"), ".config/systemd/user/hostlessd.service.d/hostlessd-sandbox.conf")
	out, err := exec.Command(client(), "service", "install", "--sandbox", "--json").CombinedOutput()
	if err != nil {
		t.Logf("refused here: %s", out)
		if !strings.Contains(string(out), "cannot sandbox") {
			t.Errorf("install --sandbox: %v\n%s", err, out)
		}
		if _, err := os.Stat(filepath.Dir(dropIn)); err == nil {
			t.Error("the drop-in stayed though the sandbox was refused")
		}
		health(t, "127.0.0.1")
		if now := mainPID(); now != before {
			t.Errorf("a refused sandbox took the daemon down: pid %d, then %d", before, now)
		}
		return
	}
	if _, err := os.Stat(dropIn); err != nil || !strings.Contains(string(out), `"sandbox":true`) {
		t.Errorf("install --sandbox: %v\n%s", err, out)
	}
	health(t, "127.0.0.1")
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", mainPID()))
	if err != nil {
		t.Fatal(err)
	}
	if root := rootMount(string(mounts)); !strings.HasPrefix(root, "ro") {
		t.Errorf("the daemon's root is mounted %q", root)
	}
	must(t, "config", "set", "verbose", "on") // the home stays writable
	must(t, "config", "set", "verbose", "off")
	if out := must(t, "service", "install"); !strings.Contains(out, "installed") {
		t.Errorf("install again: %s", out)
	}
	if _, err := os.Stat(dropIn); err != nil {
		t.Errorf("a later installation removed the sandbox: %v", err)
	}
	must(t, "service", "install", "--sandbox=off")
	health(t, "127.0.0.1")
	if _, err := os.Stat(filepath.Dir(dropIn)); err == nil {
		t.Error("the drop-in stayed though the sandbox was turned off")
	}
}

// rootMount returns the options of the last mount on / (proc_pid_mountinfo(5)).
func rootMount(mountinfo string) (options string) {
	for line := range strings.SplitSeq(mountinfo, "\n") {
		if fields := strings.Fields(line); len(fields) > 5 && fields[4] == "/" {
			options = fields[5]
		}
	}
	return options
}
