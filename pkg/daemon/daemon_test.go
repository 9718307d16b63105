package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// manager is a fake systemd that receives the daemon's notifications.
type manager struct{ conn *net.UnixConn }

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(home(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{conn}
}

// wait returns the next message that starts with word.
func (m manager) wait(t *testing.T, word string) string {
	t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v", word, err)
		}
		if text := string(buf[:n]); strings.HasPrefix(text, word) {
			return text
		}
	}
}

func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hl-daemon")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func pathsIn(dir string) config.Paths {
	return config.Paths{Home: dir, Socket: filepath.Join(dir, "control.sock")}
}

type running struct {
	manager
	paths  config.Paths
	log    *syncBuffer
	client *control.Client
	hangup chan os.Signal
	stop   func() error // may be called twice
}

// start runs a daemon and waits until it reports readiness.
func start(t *testing.T, change func(*Config)) running {
	t.Helper()
	r := running{manager: newManager(t), paths: pathsIn(home(t)), log: &syncBuffer{}, hangup: make(chan os.Signal)}
	cfg := Config{Paths: r.paths, Version: "v-test", Hangup: r.hangup, Output: r.log, Getenv: func(string) string { return "" }}
	if change != nil {
		change(&cfg)
	}
	r.paths = cfg.Paths
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Log(r.log)
		}
	})
	ready := make(chan struct{})
	go func() { r.wait(t, "READY=1"); close(ready) }()
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("Run: %v\n%s", err, r.log)
	}
	r.client = control.NewClient(r.paths.Socket)
	t.Cleanup(r.client.CloseIdle)
	return r
}

func (r running) port(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(r.paths.Port())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(data), "\n")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestLifeOfADaemon(t *testing.T) {
	// The files of a killed daemon.
	dir := home(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	os.WriteFile(filepath.Join(dir, "hostless.pid"), []byte("1\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "hostless.port"), []byte("1\n"), 0o600)

	r := start(t, func(c *Config) { c.Paths = pathsIn(dir) })
	port := r.port(t)
	if pid, err := os.ReadFile(r.paths.PID()); err != nil || string(pid) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("hostless.pid holds %q, %v", pid, err)
	}
	if code, body := get(t, "http://127.0.0.1:"+port+"/health"); code != 200 || !strings.Contains(body, `"v-test"`) {
		t.Errorf("GET /health: %d %s", code, body)
	}
	for _, path := range []string{"/status", "/stop", "/reload", "/auth/token", "/auth/tokens", "/auth/refresh", "/auth/revoke", "/routes", "/routes/register", "/routes/lease", "/keys", "/keys/openai", "/origins", "/config", "/approvals"} {
		for _, header := range []string{"", "hostless"} {
			req, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+path, nil)
			req.Header.Set("X-Forwarded-Host", header)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 404 {
				t.Errorf("GET %s on TCP: %d, want 404", path, resp.StatusCode)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	s, err := r.client.Status(t.Context())
	if err != nil || s.PID != os.Getpid() || strconv.Itoa(s.Port) != port || s.Activation != "self" || s.Version != "v-test" || s.Home != dir {
		t.Errorf("status %+v, %v", s, err)
	}

	err = Run(t.Context(), Config{Paths: r.paths, Getenv: func(string) string { return "" }, Output: io.Discard})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d, port %s", os.Getpid(), port)) {
		t.Errorf("a second daemon: %v", err)
	}

	if err := r.stop(); err != nil {
		t.Error(err)
	}
	r.wait(t, "STOPPING=1")
	for _, path := range []string{r.paths.PID(), r.paths.Port(), r.paths.Socket} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func TestStopOverTheControlSocket(t *testing.T) {
	r := start(t, nil)
	if err := r.client.Stop(t.Context()); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "hostless service stop") {
		t.Errorf("stop of a supervised daemon: %v", err)
	}
	os.Unsetenv("NOTIFY_SOCKET")
	if err := r.client.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	r := start(t, nil)
	os.WriteFile(r.paths.Keys(), []byte("HOSTLESS_KEY_OPENAI=sk-canary-0123456789abcdef0123\nnonsense\n"), 0o600)
	os.WriteFile(r.paths.Config(), []byte(`{"echo":"off"}`), 0o600)
	r.hangup <- os.Interrupt
	if text := r.wait(t, "RELOADING=1"); !strings.Contains(text, "MONOTONIC_USEC=") && monotonic() != 0 {
		t.Errorf("reloading: %q", text)
	}
	r.wait(t, "READY=1")
	s, err := r.client.Status(t.Context())
	if err != nil || len(s.Providers) != 1 || s.Providers[0].Provider != "openai" {
		t.Errorf("providers %+v, %v", s.Providers, err)
	}
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "keys.env") {
		t.Errorf("warnings %q", s.Warnings)
	}
	v, err := r.client.Config(t.Context())
	if err != nil || string(v["echo"]) != `"off"` {
		t.Errorf("config %s, %v", v["echo"], err)
	}
	if strings.Contains(r.log.String(), "canary") {
		t.Error("the key is in the log")
	}
}

func TestRuinedSettingsAreToldUntilMended(t *testing.T) {
	r := start(t, nil)
	os.WriteFile(r.paths.Config(), []byte(`{"echo":`), 0o600)
	if err := r.client.Reload(t.Context()); !fault.Is(err, fault.Invalid) {
		t.Errorf("reload: %v", err)
	}
	if s, err := r.client.Status(t.Context()); err != nil || len(s.Warnings) != 1 {
		t.Errorf("warnings %q, %v", s.Warnings, err)
	}
	if _, err := r.client.SetConfig(t.Context(), control.ConfigValues{"echo": []byte(`"off"`)}); err != nil {
		t.Fatal(err)
	}
	if s, err := r.client.Status(t.Context()); err != nil || len(s.Warnings) != 0 {
		t.Errorf("after the change: warnings %q, %v", s.Warnings, err)
	}
}

func TestWatchdogIsFedAfterASelfCheck(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "300000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	r := start(t, func(c *Config) { c.Verbose = true })
	r.wait(t, "WATCHDOG=1")
	if !strings.Contains(r.log.String(), "path=/health") {
		t.Error("no self-check came through the front")
	}
}

func TestTokenPersistenceFollowsTheSetting(t *testing.T) {
	r := start(t, nil)
	if _, err := r.client.CreateToken(t.Context(), control.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.paths.Tokens()); !os.IsNotExist(err) {
		t.Errorf("tokens are on disk with persistence off: %v", err)
	}
	if _, err := r.client.SetConfig(t.Context(), control.ConfigValues{"token-persistence": json.RawMessage(`"file"`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.paths.Tokens()); err != nil {
		t.Errorf("with persistence file: %v", err)
	}
}

func TestTLS(t *testing.T) {
	r := start(t, func(c *Config) { c.TLS = new(true) })
	pem, err := os.ReadFile(filepath.Join(r.paths.Home, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
	resp, err := c.Get("https://localhost:" + r.port(t) + "/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("https: %s %s", resp.Proto, resp.Status)
	}
	if code, _ := get(t, "http://localhost:"+r.port(t)+"/health"); code != 200 {
		t.Errorf("http: %d", code)
	}
	if s, err := r.client.Status(t.Context()); err != nil || !s.TLS || !strings.HasPrefix(s.URL, "https://") {
		t.Errorf("status %+v, %v", s, err)
	}
}

func TestKeysMustBeUsable(t *testing.T) {
	r := start(t, nil)
	key := control.NewSecret("sk-test-0123456789abcdef0123")
	for _, tt := range []struct {
		name string
		req  control.KeyRequest
		want string // the provider name in the store, or "" if it is refused
	}{
		{"openai", control.KeyRequest{Key: key}, "openai"},
		{"gemini", control.KeyRequest{Key: key}, "google"},
		{"openai", control.KeyRequest{}, ""},
		{"mine", control.KeyRequest{Key: key}, ""},
		{"mine", control.KeyRequest{Key: key, BaseURL: "http://127.0.0.1:9/v1"}, "mine"},
		{"mine", control.KeyRequest{Key: key, BaseURL: "http://169.254.169.254/"}, ""},
		{"mine", control.KeyRequest{Key: key, BaseURL: "http://10.0.0.1/", AllowPrivate: true}, "mine"},
		{"echo", control.KeyRequest{Key: key}, ""},
	} {
		got, err := r.client.PutKey(t.Context(), tt.name, tt.req)
		if got.Provider != tt.want || (tt.want == "") != fault.Is(err, fault.Invalid) {
			t.Errorf("put %s %+v: %q, %v; want %q", tt.name, tt.req, got.Provider, err, tt.want)
		}
	}
	if _, err := r.client.DeleteKey(t.Context(), "gemini"); err != nil {
		t.Errorf("delete by alias: %v", err)
	}
}

func TestRedactor(t *testing.T) {
	var out bytes.Buffer
	log, r := newLogger(&out, levelVar(slog.LevelDebug), false)
	r.Learn(secret.New("correct horse battery"))
	r.Learn(secret.New("x"))
	log.Info("x marks", "token", "sk_local_abcdefgh0123456789", "err", fmt.Errorf("get: %w", fmt.Errorf("key correct horse battery is bad")))
	log.Debug("d", "url", "https://h/?key=AIzaSyA0123456789abcdefghijklmnopqrstuv", "k", "sk-proj-0123456789abcdefghij", "h", "Authorization: Bearer abcdefghijklmnop", "g", "key AQ.Ab8RN6J0123456789abcdefghijkl")
	text := out.String()
	for _, leaked := range []string{"0123456789", "battery", "abcdefghijklmnop"} {
		if strings.Contains(text, leaked) {
			t.Errorf("%q is in %s", leaked, text)
		}
	}
	if !strings.Contains(text, "sk_local_abcdefgh"+secret.Redacted) || !strings.Contains(text, "x marks") {
		t.Errorf("too much or too little: %s", text)
	}

	if got := r.String("token=sk_local_abcdefgh"); got != "token=sk_local_abcdefgh" {
		t.Errorf("what may be shown: %q", got)
	}
	if got := r.String("of an app: sk_local_abcdefgh0123456789, correct horse battery, postgres://u:pw@h"); got != "of an app: sk_local_abcdefgh[redacted], [redacted], postgres://u:[redacted]@h" {
		t.Errorf("what others wrote: %q", got)
	}

	out.Reset()
	log, _ = newLogger(&out, levelVar(slog.LevelInfo), true)
	log.Debug("hidden")
	log.Error("bad", "n", 1)
	if out.String() != "<3>msg=bad n=1\n" {
		t.Errorf("for the journal: %q", out.String())
	}
}

func levelVar(level slog.Level) *slog.LevelVar {
	v := new(slog.LevelVar)
	v.Set(level)
	return v
}
