package frameworks

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/chromium"
	"github.com/hostless/hostless/test/harness"
)

// inside names an environment variable. For the copy of this test that runs under the
// service manager, it contains the projects to test, in JSON.
const inside = "HOSTLESS_FRAMEWORKS_PROJECTS"

// project is a framework's app in a directory of its own, and the command that runs it.
type project struct {
	Name, Dir string
	Command   []string
}

// TestLoginService runs TestInside under a real `systemd --user` manager.
func TestLoginService(t *testing.T) {
	if testing.Short() {
		t.Skip("no frameworks in a short run")
	}
	switch _, err := os.Stat("/lib/systemd/systemd"); {
	case runtime.GOOS != "linux" || err != nil:
		harness.Missing(t, "systemd is not installed")
	case os.Getuid() != 0:
		harness.Missing(t, "only root can create a temporary user")
	}
	var projects []project
	for _, f := range frameworks {
		if f.name != "react" && f.name != "watch" && os.Getenv("HOSTLESS_TEST_FRAMEWORKS") != "all" {
			continue
		}
		dir, command, err := f.find(t)
		if err == nil && len(f.command) > 0 && strings.HasPrefix(f.command[0], "python:") {
			_, err = exec.Command("setpriv", "--reuid", "65534", "--clear-groups", command[0], "--version").Output()
		}
		if err != nil {
			t.Logf("without %s, which another user cannot run: %v", f.name, err)
			continue
		}
		projects = append(projects, project{f.name, dir, command})
		// The copy runs as another user, who must be able to change the project.
		if out, err := exec.Command("chmod", "-R", "a+rwX", dir).CombinedOutput(); err != nil {
			t.Fatalf("chmod: %v: %s", err, out)
		}
	}
	list, err := json.Marshal(projects)
	if err != nil {
		t.Fatal(err)
	}
	bin := harness.Home(t)
	os.Chmod(bin, 0o755)
	for _, path := range []string{filepath.Join(harness.Bin(t), "hostless"), filepath.Join(harness.Bin(t), "hostlessd"), os.Args[0]} {
		if out, err := exec.Command("install", "-m", "755", path, bin).CombinedOutput(); err != nil {
			t.Fatalf("install: %v: %s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(harness.Root(), "test", "with-systemd-user"), "-n", "-e", inside, "-e", "HOSTLESS_TEST_BIN", "-e", "CI",
		filepath.Join(bin, filepath.Base(os.Args[0])), "-test.run=^TestInside$", "-test.v", "-test.timeout=29m")
	cmd.Dir = bin
	cmd.Env = append(os.Environ(), inside+"="+string(list), "HOSTLESS_TEST_BIN="+bin)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestInside")) {
		t.Fatalf("inside the manager: %v", err)
	}
}

// TestInside installs the login service and tests the projects with it.
func TestInside(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("run by TestLoginService, under a manager") // TestLoginService fails unless TestInside passes
	}
	client := func(args ...string) string {
		out, err := exec.Command(filepath.Join(harness.Bin(t), "hostless"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("hostless %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	client("service", "install", "--tls")
	home := os.Getenv("HOME") // the login service has its certificate authority there
	chromium.Trust(t, &harness.Daemon{Env: os.Environ()}, home)
	g := gateway{os.Environ(), "48282", func() string { return client("list") }, home}
	var projects []project
	if err := json.Unmarshal([]byte(os.Getenv(inside)), &projects); err != nil {
		t.Fatal(err)
	}
	for _, p := range projects {
		i := slices.IndexFunc(frameworks, func(f framework) bool { return f.name == p.Name })
		t.Run(p.Name, func(t *testing.T) { frameworks[i].check(t, g, p.Dir, p.Command) })
	}
}
