package chromium

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// Trust adds the daemon's authority to a home's NSS database, as a user would. PATH
// contains only certutil, so that no store of the system is changed.
func Trust(t testing.TB, d *harness.Daemon, home string) {
	t.Helper()
	certutil := harness.Need(t, "certutil")
	db, bin := filepath.Join(home, ".pki", "nssdb"), filepath.Join(home, "bin")
	for _, dir := range []string{db, bin} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(certutil, "-N", "-d", "sql:"+db, "--empty-password").CombinedOutput(); err != nil {
		t.Fatalf("certutil: %v: %s", err, out)
	}
	if err := os.Symlink(certutil, filepath.Join(bin, "certutil")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "trust", "--json")
	cmd.Env = append(append([]string{}, d.Env...), "HOME="+home, "PATH="+bin, "JAVA_HOME=")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), db) || !strings.Contains(string(out), `"trusted"`) {
		t.Fatalf("hostless trust: %v\n%s", err, out)
	}
}
