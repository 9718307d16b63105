package run

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestHostsSync: while the setting is on, the names of apps are in the hosts file, and
// nothing else in it changes.
func TestHostsSync(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	const own = "127.0.0.1 localhost\n"
	if err := os.WriteFile(file, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	d := harness.StartWith(t, []string{"HOSTLESS_HOSTS_FILE=" + file})
	content := func() string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	d.Must("alias", "early", "4000")
	if content() != own {
		t.Fatalf("without the setting the file became %q", content())
	}
	d.Must("config", "set", "hosts-sync", "on")
	waitWithin(t, 5*time.Second, "the name of an alias", func() bool { return strings.Contains(content(), "127.0.0.1 early.localhost\n") })
	s := start(t, d, d.Home, "run", "shop", "--", self(t), "__app")
	waitWithin(t, 10*time.Second, "the name of a run", func() bool { return strings.Contains(content(), "::1 shop.localhost\n") })
	s.end(syscall.SIGTERM)
	waitWithin(t, 5*time.Second, "the run's name gone", func() bool { return !strings.Contains(content(), "shop.localhost") })
	d.Must("alias", "remove", "early")
	waitWithin(t, 5*time.Second, "the block gone", func() bool { return content() == own })
}
