package packages

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const packaged = "/usr/lib/systemd/user/"

var units = []string{"hostlessd-http.socket", "hostlessd-control.socket", "hostlessd.service"}

// TestInside uses the package as a user does: the service installed from its units, with
// another port and back, across an upgrade and the removal.
func TestInside(t *testing.T) {
	dir := os.Getenv(inside)
	if dir == "" {
		t.Skip("run by TestSandbox, under a manager") // TestSandbox fails if it fails
	}
	must(t, "hostless", "service", "install")
	wantUnits(t, packaged)
	health(t, "48282")
	if out := must(t, "hostless", "service", "install"); !strings.Contains(out, "up to date") {
		t.Errorf("installing again says %q", out)
	}
	if out := must(t, "hostless", "service", "status"); !strings.Contains(out, "/usr/bin/hostlessd") || !strings.Contains(out, "running") {
		t.Errorf("service status: %s", out)
	}

	// Another port needs the user's own units; without it the package's units are used
	// again.
	must(t, "hostless", "service", "install", "--port", "48399")
	wantUnits(t, own())
	health(t, "48399")
	must(t, "hostless", "service", "install", "--port", "48282")
	wantUnits(t, packaged)
	health(t, "48282")

	// The user's own build takes over, and the package's returns, while the sockets stay
	// open.
	bin := filepath.Join(os.Getenv("HOME"), ".local", "bin")
	must(t, "mkdir", "-p", bin)
	must(t, "cp", "/usr/bin/hostless", "/usr/bin/hostlessd", bin)
	opened := must(t, "systemctl", append([]string{"--user", "show", "--value", "--property=ActiveEnterTimestampMonotonic"}, units[:2]...)...)
	must(t, filepath.Join(bin, "hostless"), "service", "install")
	wantUnits(t, own())
	must(t, "hostless", "service", "install")
	wantUnits(t, packaged)
	health(t, "48282")
	if again := must(t, "systemctl", append([]string{"--user", "show", "--value", "--property=ActiveEnterTimestampMonotonic"}, units[:2]...)...); again != opened {
		t.Errorf("the sockets were opened at %q, and again at %q", opened, again)
	}

	// After uninstalling, nothing is enabled and the package's files are still there.
	must(t, "hostless", "service", "uninstall")
	if out := must(t, "hostless", "service", "status"); !strings.Contains(out, "not installed") {
		t.Errorf("after uninstall: %s", out)
	}
	if found, _ := filepath.Glob(filepath.Join(own(), "*", "hostlessd*")); len(found) > 0 {
		t.Errorf("left: %v", found)
	}
	must(t, "hostless", "service", "install")

	// The upgrade does not affect the running daemon until it is restarted.
	health(t, "48282")
	first := status(t)
	if first.Version != older {
		t.Errorf("the daemon is %s, want %s", first.Version, older)
	}
	if out := asRoot(t, dir, "upgrade"); !strings.Contains(out, "hostless service restart") || strings.Contains(out, "service install") {
		t.Errorf("the upgrade says:\n%s", out)
	}
	if out := must(t, "hostless", "--version"); out != "hostless "+newer+"\n" {
		t.Errorf("the client is %s", out)
	}
	if s := status(t); s != first {
		t.Errorf("the daemon was %+v, is %+v before a restart", first, s)
	}
	wantVersionFinding(t, "warn", "hostless service restart")
	must(t, "hostless", "service", "restart")
	if s := status(t); s.Version != newer || s.PID == first.PID {
		t.Errorf("after the restart: %+v, was %+v", s, first)
	}
	wantVersionFinding(t, "ok", "")
	if out := must(t, "systemctl", "--user", "show", "--value", "--property=NeedDaemonReload", units[2]); out != "no\n" {
		t.Errorf("the manager has not read the new units: NeedDaemonReload=%s", out)
	}

	// The removal stops nothing, and prints the command that does.
	out := asRoot(t, dir, "remove")
	if _, err := os.Stat("/usr/bin/hostlessd"); err == nil {
		t.Error("hostlessd is still there")
	}
	health(t, "48282")
	_, command, ok := strings.Cut(out, "systemctl --user ")
	if !ok {
		t.Fatalf("the removal does not say what to type:\n%s", out)
	}
	command, _, _ = strings.Cut(command, "\n")
	must(t, "systemctl", append([]string{"--user"}, strings.Fields(command)...)...)
	if c, err := net.Dial("tcp", "127.0.0.1:48282"); err == nil {
		c.Close()
		t.Error("the port is open still")
	}
	if found, _ := filepath.Glob(filepath.Join(own(), "*", "hostlessd*")); len(found) > 0 {
		t.Errorf("left: %v", found)
	}
}

func own() string { return filepath.Join(os.Getenv("HOME"), ".config", "systemd", "user") + "/" }

// must runs a command and returns its output, stdout and stderr.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// wantUnits checks from which directory the service manager loads the units, and whether
// the user has unit files of their own.
func wantUnits(t *testing.T, dir string) {
	t.Helper()
	for _, unit := range units {
		if path := strings.TrimSpace(must(t, "systemctl", "--user", "show", "--value", "--property=FragmentPath", unit)); path != dir+unit {
			t.Errorf("%s is %q, want it in %s", unit, path, dir)
		}
		if state := strings.TrimSpace(must(t, "systemctl", "--user", "is-enabled", unit)); state != "enabled" {
			t.Errorf("%s is %s", unit, state)
		}
		if _, err := os.Lstat(own() + unit); (err == nil) != (dir == own()) {
			t.Errorf("%s%s: %v, want it there: %v", own(), unit, err, dir == own())
		}
	}
}

func health(t *testing.T, port string) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"service":"hostless"`) {
		t.Fatalf("GET /health: %d %s", resp.StatusCode, body)
	}
}

type daemonStatus struct {
	Version string
	PID     int
}

func status(t *testing.T) (s daemonStatus) {
	t.Helper()
	out, err := exec.Command("hostless", "status", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		t.Fatalf("hostless status: %v\n%s", err, out)
	}
	return s
}

// wantVersionFinding checks doctor's finding about the versions of client and daemon.
func wantVersionFinding(t *testing.T, verdict, fix string) {
	t.Helper()
	out, _ := exec.Command("hostless", "doctor", "--json").Output() // the exit code depends on all findings
	var answer struct {
		Findings []struct{ Check, Verdict, Detail, Fix string }
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("hostless doctor: %v\n%s", err, out)
	}
	for _, f := range answer.Findings {
		if f.Check == "version" {
			if f.Verdict != verdict || f.Fix != fix {
				t.Errorf("doctor says %+v, want %s and %q", f, verdict, fix)
			}
			return
		}
	}
	t.Errorf("doctor says nothing of the version:\n%s", out)
}

// asRoot makes the outer test run dpkg, and returns its output.
func asRoot(t *testing.T, dir, what string) string {
	t.Helper()
	request := filepath.Join(dir, what)
	if err := os.WriteFile(request, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if out, err := os.ReadFile(request + ".done"); err == nil {
			return string(out)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was not done", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
