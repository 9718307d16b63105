package packages

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hostless/hostless/test/harness"
)

// sandboxed is set for the copy of this test with its own /usr and /var, and inside for
// the copy below it under a user manager. The value is the directory of the packages.
const (
	sandboxed = "HOSTLESS_PACKAGES_SANDBOX"
	inside    = "HOSTLESS_PACKAGES_INSIDE"
)

// overlay gives the following commands their own /usr and /var, as an overlay in memory,
// so that dpkg really installs and nothing remains.
const overlay = `set -e
upper=$1; shift
mount -t tmpfs tmpfs "$upper"
for dir in usr var; do
  mkdir "$upper/$dir" "$upper/$dir.work"
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$upper/$dir,workdir=$upper/$dir.work" "/$dir"
done
exec "$@"`

// TestDpkg runs TestSandbox in a place where dpkg can install without changing the
// machine.
func TestDpkg(t *testing.T) {
	if os.Getenv(sandboxed) != "" || os.Getenv(inside) != "" {
		t.Skip("this is the inner run") // the outer run fails if it fails
	}
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		harness.Missing(t, "only root on Linux can mount")
	}
	for _, program := range []string{"dpkg", "unshare", "systemctl", "setpriv", "useradd", "ip", "bash", "zsh", "fish", "man"} {
		harness.Need(t, program)
	}
	dir := packages(t)
	upper := filepath.Join(dir, "upper")
	if err := os.MkdirAll(upper, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "packages.test")
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(program, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "sh", "-c", overlay, "sh", upper,
		program, "-test.run=^TestSandbox$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), sandboxed+"="+dir, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestSandbox")) {
		t.Fatalf("in the sandbox: %v", err)
	}
	if _, err := os.Stat("/usr/lib/systemd/user/hostlessd.service"); err == nil {
		t.Error("the package is on this machine")
	}
}

// TestSandbox is the life of a package: installed, used, upgraded and removed under a
// running login service.
func TestSandbox(t *testing.T) {
	dir := os.Getenv(sandboxed)
	if dir == "" {
		t.Skip("run by TestDpkg, in mounts of its own") // TestDpkg fails if it fails
	}
	output := dpkg(t, "-i", one(t, filepath.Join(dir, "older"), ".deb"))
	if !strings.Contains(output, "hostless service install") || strings.Contains(output, "restart") {
		t.Errorf("the installation says:\n%s", output)
	}
	have := map[string]int64{}
	for name := range strings.SplitSeq(dpkg(t, "-L", "hostless"), "\n") {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			have[strings.TrimPrefix(name, "/")] = int64(info.Mode().Perm())
			if s := info.Sys().(*syscall.Stat_t); s.Uid != 0 || s.Gid != 0 {
				t.Errorf("%s belongs to %d:%d", name, s.Uid, s.Gid)
			}
		}
	}
	wantFiles(t, have, zshVendor, "usr/share/doc/hostless/copyright")
	if links, _ := filepath.Glob("/etc/systemd/user/*/hostless*"); len(links) > 0 {
		t.Errorf("enabled without being asked: %v", links)
	}
	if out := dpkg(t, "--verify", "hostless"); out != "" {
		t.Errorf("dpkg --verify: %s", out)
	}
	t.Run("man pages", manPages)
	t.Run("bash", func(t *testing.T) {
		complete(t, exec.Command("bash", "--norc", "-i"), ". /usr/share/bash-completion/bash_completion\n", "hostless service uninst\t", "hostless service uninstall")
	})
	t.Run("zsh", func(t *testing.T) {
		complete(t, exec.Command("zsh", "-f", "-i"), "autoload -Uz compinit; compinit -u -D\n", "hostless service uninst\t", "hostless service uninstall")
	})
	t.Run("fish", func(t *testing.T) {
		out, err := exec.Command("fish", "-c", "complete -C 'hostless service uninst'").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "uninstall\t") {
			t.Errorf("fish completes: %q %v", out, err)
		}
	})
	t.Run("login service", func(t *testing.T) { underManager(t, dir) })
	if out, err := exec.Command("dpkg-query", "-W", "hostless").CombinedOutput(); err == nil && !strings.HasSuffix(strings.TrimSpace(string(out)), "hostless") {
		t.Errorf("still there: %s", out)
	}
	for name := range have {
		if _, err := os.Lstat("/" + name); err == nil {
			t.Errorf("/%s is left", name)
		}
	}
}

// dpkg runs dpkg. It includes the documentation, which some container images exclude.
func dpkg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dpkg", append([]string{"--no-triggers", "--path-include=/usr/share/man/*", "--path-include=/usr/share/doc/*"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func manPages(t *testing.T) {
	for page, want := range map[string]string{
		"hostless": "hostless-run(1)", "hostless-run": "--worktree-prefix", "hostlessd": "--token-persistence",
		"hostless-keys": "hostless keys add",
	} {
		cmd := exec.Command("man", "--warnings", page)
		cmd.Env = append(os.Environ(), "MANPAGER=cat", "MANWIDTH=100", "LC_ALL=C.UTF-8", "TERM=dumb")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), want) || stderr.Len() > 0 {
			t.Errorf("man %s: %v, %s\n%s", page, err, stderr.String(), out)
		}
	}
}

// complete types into an interactive shell on a terminal and waits for the completion.
func complete(t *testing.T, shell *exec.Cmd, setUp, typed, want string) {
	t.Helper()
	shell.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "TERM=dumb", "PS1=ready> ", "LC_ALL=C.UTF-8"}
	tty, err := pty.StartWithSize(shell, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		shell.Process.Kill()
		shell.Wait()
		tty.Close()
	}()
	read := make(chan string)
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := tty.Read(buffer)
			if err != nil {
				return
			}
			read <- string(buffer[:n])
		}
	}()
	var seen strings.Builder
	wait := func(what string) {
		t.Helper()
		timeout := time.After(30 * time.Second)
		for !strings.Contains(seen.String(), what) {
			select {
			case text, ok := <-read:
				if !ok {
					t.Fatalf("%s ended; it wrote %q", shell.Path, seen.String())
				}
				seen.WriteString(text)
			case <-timeout:
				t.Fatalf("%s shows no %q in 30 s, but %q", shell.Path, what, seen.String())
			}
		}
	}
	wait("ready> ")
	// The result is only in the output, not in the echo of the typed text.
	fmt.Fprint(tty, setUp+"echo set-$((6*7))-up\n")
	wait("set-42-up")
	fmt.Fprint(tty, typed)
	wait(want)
}

// underManager runs TestInside under a user manager, and performs its requests to root.
func underManager(t *testing.T, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(harness.Root(), "test", "with-systemd-user"), "-n", "-e", inside,
		filepath.Join(dir, "packages.test"), "-test.run=^TestInside$", "-test.v", "-test.timeout=150s")
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			t.Logf("%s", out.String())
			if err != nil || !strings.Contains(out.String(), "--- PASS: TestInside") {
				t.Fatalf("inside the manager: %v", err)
			}
			return
		case <-time.After(50 * time.Millisecond): // the other side communicates through files
		}
		for name, args := range map[string][]string{
			"upgrade": {"-i", one(t, filepath.Join(dir, "newer"), ".deb")},
			"remove":  {"-r", "hostless"},
		} {
			request := filepath.Join(dir, name)
			if _, err := os.Stat(request); err != nil {
				continue
			}
			output := dpkg(t, args...)
			os.Remove(request)
			if err := os.WriteFile(request+".tmp", []byte(output), 0o644); err != nil {
				t.Fatal(err)
			}
			os.Rename(request+".tmp", request+".done")
		}
	}
}
