package run

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestDomains serves apps below the user's own domains, with their URLs, tokens and lines
// in the hosts file. The gateway is not served there.
func TestDomains(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := harness.StartWith(t, []string{"HOSTLESS_HOSTS_FILE=" + file})
	if status, _ := get(t, d, "shop.dev.example.com", "/"); status != http.StatusMisdirectedRequest {
		t.Errorf("before the setting: %d", status)
	}
	if r := d.CLI("config", "set", "tld", "dev.example.com,test"); r.Code != 0 || !strings.Contains(r.Stderr, "http://NAME.dev.example.com:"+d.Port) || !strings.Contains(r.Stderr, "hosts-sync") {
		t.Errorf("%+v", r)
	}
	d.Must("config", "set", "hosts-sync", "on")
	s := start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	waitWithin(t, 20*time.Second, "the app", func() bool {
		status, _ := get(t, d, "shop.test", "/")
		return status == http.StatusOK
	})
	var token string
	for _, host := range []string{"shop.localhost", "shop.test", "SHOP.dev.example.com", "shop.dev.example.com:" + d.Port} {
		status, body := get(t, d, host, "/")
		url := ""
		token, url, _ = strings.Cut(body, " ")
		if status != http.StatusOK || url != "http://shop.dev.example.com:"+d.Port {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	for _, origin := range []string{"http://shop.dev.example.com:" + d.Port, "http://shop.test:" + d.Port, "http://shop.localhost:" + d.Port} {
		if status, body := get(t, d, "localhost", "/v1/models", "Authorization", "Bearer "+token, "Origin", origin); status != http.StatusOK {
			t.Errorf("the app's token from %s: %d %s", origin, status, body)
		}
	}
	for host, want := range map[string]int{"test": http.StatusMisdirectedRequest, "dev.example.com": http.StatusMisdirectedRequest, "shop.example.com": http.StatusMisdirectedRequest, "other.test": http.StatusNotFound} {
		if status, _ := get(t, d, host, "/v1/models"); status != want {
			t.Errorf("%s: %d, want %d", host, status, want)
		}
	}
	if got := d.Must("get", "api", "--no-worktree"); got != "http://api.dev.example.com:"+d.Port {
		t.Errorf("get: %q", got)
	}
	waitWithin(t, 5*time.Second, "the hosts file", func() bool {
		data, _ := os.ReadFile(file)
		return strings.Contains(string(data), "127.0.0.1 shop.test # hostless\n") && strings.Contains(string(data), "::1 shop.dev.example.com # hostless\n")
	})
	s.end(syscall.SIGTERM)
	waitWithin(t, 5*time.Second, "the hosts file as it was", func() bool {
		data, _ := os.ReadFile(file)
		return string(data) == "127.0.0.1 localhost\n"
	})
}
