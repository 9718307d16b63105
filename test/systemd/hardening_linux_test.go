package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostless/hostless/test/harness"
)

// TestHardening runs TestInsideHardening under the service manager.
func TestHardening(t *testing.T) {
	if os.Getenv(inside) == "" {
		harness.Need(t, "systemd-run")
		harness.Need(t, "chage")
		harness.Need(t, "node")
	}
	runInside(t, "TestInsideHardening")
}

// beProbe makes this program do one thing that a line of the unit forbids, and print the
// result.
const beProbe = "HOSTLESS_SYSTEMD_TEST_PROBE"

func init() {
	line, ok := os.LookupEnv(beProbe)
	if !ok {
		return
	}
	runtime.LockOSThread()
	if err := probes[line](); err != nil {
		fmt.Println("denied:", err)
		os.Exit(0)
	}
	fmt.Println("allowed")
	os.Exit(0)
}

// probes do what a line of the unit forbids; nil means success.
var probes = map[string]func() error{
	"UMask=0077": func() error {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("hl-umask-%d", os.Getpid()))
		defer os.Remove(path)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err == nil && info.Mode().Perm()&0o077 == 0 {
			return fmt.Errorf("others may not read a new file")
		}
		return err
	},
	"LimitCORE=0": func() error {
		return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	},
	// chage is set-gid: it may read /etc/shadow on behalf of its caller.
	"NoNewPrivileges=yes": func() error {
		user, err := user.Current()
		if err != nil {
			return err
		}
		return exec.Command("chage", "--list", user.Username).Run()
	},
	"LockPersonality=yes": func() error {
		const addrNoRandomize = 0x0040000
		_, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0)
		return failure(errno)
	},
	// For a process that does not exist: the kernel reports that before it checks the
	// permission for a real-time priority, which the test's user does not have.
	"RestrictRealtime=yes": func() error {
		priority := int32(1)
		_, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 1<<30, unix.SCHED_RR, uintptr(unsafe.Pointer(&priority)))
		if errno == unix.ESRCH {
			return nil
		}
		return failure(errno)
	},
	"RestrictSUIDSGID=yes": func() error {
		f, err := os.CreateTemp("", "hl-suid-")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		defer f.Close()
		return unix.Fchmod(int(f.Fd()), 0o4700)
	},
	"RestrictNamespaces=yes": func() error {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
		return cmd.Run()
	},
	// For this family, the kernel returns EPERM to an unprivileged user, but not to one
	// in a user namespace.
	"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK": func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err == nil {
			unix.Close(fd)
		}
		if errors.Is(err, unix.EPERM) {
			return nil
		}
		return err
	},
	// x32 on amd64: a kernel without it returns ENOSYS. A forbidden call kills the
	// thread, but not the process.
	"SystemCallArchitectures=native": func() error {
		thread, result := make(chan int, 1), make(chan syscall.Errno, 1)
		go func() {
			runtime.LockOSThread()
			thread <- unix.Gettid()
			_, _, errno := unix.Syscall(0x40000000|unix.SYS_GETPPID, 0, 0, 0)
			result <- errno
		}()
		task := fmt.Sprintf("/proc/self/task/%d", <-thread)
		for {
			select {
			case errno := <-result:
				if errno == unix.ENOSYS {
					return nil
				}
				return failure(errno)
			case <-time.After(10 * time.Millisecond):
			}
			if _, err := os.Stat(task); err != nil {
				return errors.New("the thread was ended")
			}
		}
	},
	"SystemCallFilter=@system-service": func() error {
		// For a process that does not exist, which the kernel reports.
		_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1<<30, 0, 0, 0, 0)
		if errno == unix.ESRCH {
			return nil
		}
		return failure(errno)
	},
	"SystemCallFilter=~@privileged": func() error {
		f, err := os.CreateTemp("", "hl-chown-")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		defer f.Close()
		return f.Chown(os.Getuid(), os.Getgid())
	},
}

func failure(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// works lists the lines of the unit's [Service] section that forbid nothing.
var works = []string{"Type", "NotifyAccess", "ExecStart", "ExecReload", "Environment", "Restart", "RestartSec", "WatchdogSec", "TimeoutStopSec", "LimitNOFILE", "SystemCallErrorNumber"}

// TestInsideHardening tries what each line of the unit forbids: it works without these
// lines, and fails with that line alone and with all of them. A line without an effect
// must not be in the unit.
func TestInsideHardening(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("run by TestHardening, under a manager") // TestHardening fails if it fails
	}
	must(t, "service", "install")
	t.Cleanup(func() { must(t, "service", "uninstall") })
	lines := hardening(t)
	t.Logf("exposure: %s", exposure())
	const number = "SystemCallErrorNumber=EPERM"
	all := append([]string{number}, lines...)
	for _, line := range lines {
		if probes[line] == nil {
			t.Errorf("nothing proves %s", line)
			continue
		}
		alone := []string{line}
		if strings.HasPrefix(line, "SystemCallFilter=") {
			alone = append(alone, number)
		}
		bare, one, every := probe(line), probe(line, alone...), probe(line, all...)
		t.Logf("%-62s without %-10s alone %-40s with all %s", line, bare, one, every)
		if bare != "allowed" {
			t.Errorf("%s: what it forbids does not work without it either: %s", line, bare)
		}
		if one == "allowed" || every == "allowed" {
			t.Errorf("%s forbids nothing: alone %s, with all %s", line, one, every)
		}
	}
	// Without the error number a forbidden call kills the process.
	filter := "SystemCallFilter=@system-service"
	if got := probe(filter, filter); !strings.Contains(got, "signal") {
		t.Errorf("without %s a forbidden call is answered: %s", number, got)
	}
	if got := probe(filter, all...); !strings.Contains(got, unix.EPERM.Error()) {
		t.Errorf("with %s a forbidden call is answered %s", number, got)
	}

	// Programs that the daemon starts: a successor, and key managers, some of which have
	// a JIT compiler (Bitwarden's uses Node).
	health(t, "localhost")
	before := daemonStatus(t).PID
	must(t, "service", "restart")
	if after := daemonStatus(t).PID; after == before || after != mainPID() {
		t.Errorf("restarted: pid %d, before %d, main pid %d", after, before, mainPID())
	}
	node := exec.Command("systemd-run", append(properties(all), "node", "-e", "let n = 0; for (let i = 0; i < 1e6; i++) n += i % 7; console.log(n)")...)
	if out, err := node.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "2999997" {
		t.Errorf("node under the unit's lines: %v\n%s", err, out)
	}
}

// hardening returns the lines of the installed unit that forbid something.
func hardening(t *testing.T) (lines []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), ".config", "systemd", "user", "hostlessd.service"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n[Service]\n")
	section, _, _ = strings.Cut(section, "\n[")
next:
	for line := range strings.SplitSeq(section, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		for _, name := range works {
			if strings.HasPrefix(line, name+"=") {
				continue next
			}
		}
		lines = append(lines, line)
	}
	if len(lines) < 5 {
		t.Fatalf("few lines were found in\n%s", data)
	}
	return lines
}

func properties(lines []string) []string {
	args := []string{"--user", "--wait", "--pipe", "--collect", "--quiet"}
	for _, line := range lines {
		args = append(args, "--property="+line)
	}
	return args
}

// probe runs a probe as a unit with some lines, and returns its result.
func probe(line string, lines ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "systemd-run", append(properties(lines), "--setenv="+beProbe+"="+line, os.Args[0])...)
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		// systemd-run exits with 255 for a signal.
		if text, _, _ = strings.Cut(text, "\n"); cmd.ProcessState.ExitCode() == 255 {
			return "signal: " + text
		}
		return fmt.Sprintf("failed: %v: %s", err, text)
	}
	return text
}

// exposure returns the last line of systemd's own rating of the unit.
func exposure() string {
	out := command("systemd-analyze", "--user", "security", "--no-pager", "hostlessd.service")
	return out[strings.LastIndex(out, "\n")+1:]
}
