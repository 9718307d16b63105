package systemd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/hostless/hostless/test/harness"
)

// TestKeychain runs TestInsideKeychain with a real Secret Service.
func TestKeychain(t *testing.T) {
	if os.Getenv(inside) == "" {
		harness.Need(t, "gnome-keyring-daemon")
		harness.Need(t, "busctl")
	}
	runInside(t, "TestInsideKeychain", "-k")
}

// TestNoKeychain runs TestInsideWithoutKeychain, without a Secret Service.
func TestNoKeychain(t *testing.T) { runInside(t, "TestInsideWithoutKeychain") }

// beSecrets makes this program a Secret Service that never responds.
const beSecrets = "HOSTLESS_SYSTEMD_TEST_SECRETS"

const secretsName = "org.freedesktop.secrets"

// neverAnswer takes the name of the Secret Service, reports that, and never responds.
func neverAnswer() {
	conn, err := dbus.ConnectSessionBus()
	if err == nil {
		var reply dbus.RequestNameReply
		if reply, err = conn.RequestName(secretsName, dbus.NameFlagDoNotQueue); err == nil && reply == dbus.RequestNameReplyPrimaryOwner {
			conn.Eavesdrop(make(chan *dbus.Message, 1<<10)) // receives all messages without responding
			fmt.Println("owner")
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

const canary = "sk-canary-0123456789abcdef"

// try runs the client and returns its whole output and its exit code.
func try(args ...string) (string, int) {
	out, err := exec.Command(client(), args...).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// standIn is a provider that responds with the key of the request.
func standIn(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok := r.Header.Get("Authorization") == "Bearer "+canary
		fmt.Fprintf(w, `{"id":"x","object":"chat.completion","choices":[],"key_is_right":%v}`, ok)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// chat sends a request to the stand-in and returns the status, the body and the duration.
func chat(t *testing.T, token string) (int, string, time.Duration) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://localhost:"+port+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-4o","messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), time.Since(start)
}

// wantKey checks that a request reaches the stand-in with the stored key.
func wantKey(t *testing.T, token, when string) {
	t.Helper()
	if status, body, _ := chat(t, token); status != 200 || !strings.Contains(body, `"key_is_right":true`) {
		t.Errorf("%s: %d %s", when, status, body)
	}
}

// wantLocked checks that a request is refused at once, with the command that unlocks.
func wantLocked(t *testing.T, token, when string) {
	t.Helper()
	status, body, took := chat(t, token)
	if status != 503 || !strings.Contains(body, "hostless unlock") || strings.Contains(body, canary) {
		t.Errorf("%s: %d %s", when, status, body)
	}
	if took > time.Second {
		t.Errorf("%s: the refusal took %s", when, took)
	}
}

// onDisk returns the contents of all files in the home.
func onDisk(t *testing.T) string {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	filepath.WalkDir(filepath.Join(home, ".hostless"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			data, _ := os.ReadFile(path)
			all.Write(data)
		}
		return nil
	})
	return all.String()
}

// restart restarts the service with a complete start, as a login does.
func restart(t *testing.T) (took time.Duration) {
	t.Helper()
	if out := command("systemctl", "--user", "stop", "hostlessd-http.socket", "hostlessd-control.socket", "hostlessd.service"); out != "" {
		t.Fatal(out)
	}
	if out := command("systemctl", "--user", "start", "hostlessd-http.socket", "hostlessd-control.socket"); out != "" {
		t.Fatal(out)
	}
	start := time.Now()
	if out := command("systemctl", "--user", "start", "hostlessd.service"); out != "" { // returns when it is ready
		t.Fatal(out)
	}
	return time.Since(start)
}

func lockCollection(t *testing.T) {
	t.Helper()
	out := command("busctl", "--user", "call", secretsName, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service", "Lock", "ao", "1", "/org/freedesktop/secrets/collection/login")
	if !strings.Contains(out, "collection/login") {
		t.Fatal(out)
	}
}

// unlockCollection unlocks the keyring, like a user's answer to its prompt.
func unlockCollection(t *testing.T) {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	service := conn.Object(secretsName, "/org/freedesktop/secrets")
	var ignored dbus.Variant
	var session dbus.ObjectPath
	if err := service.Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&ignored, &session); err != nil {
		t.Fatal(err)
	}
	const collection = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	for _, password := range []string{"\n", ""} { // the password set by with-systemd-user
		secret := struct {
			Session     dbus.ObjectPath
			Parameters  []byte
			Value       []byte
			ContentType string
		}{session, []byte{}, []byte(password), "text/plain"}
		err = service.Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0, collection, secret).Err
		if err == nil {
			return
		}
	}
	t.Fatal(err)
}

// TestInsideKeychain is the life of a key with a real Secret Service.
func TestInsideKeychain(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("run by TestKeychain, under a manager") // TestKeychain fails if it fails
	}
	defer func() {
		if t.Failed() {
			t.Logf("journal:\n%s", command("journalctl", "--user", "--no-pager", "--lines=60"))
		}
	}()
	must(t, "service", "install")
	base := standIn(t)
	if out := must(t, "keys", "add", "openai", canary, "--base-url", base+"/v1"); !strings.Contains(out, "keychain") {
		t.Fatalf("stored: %s", out)
	}
	token := strings.TrimSpace(must(t, "token", "create", "--ttl", "3600"))
	wantKey(t, token, "stored")
	if strings.Contains(onDisk(t), canary) {
		t.Error("the key is readable on disk")
	}
	must(t, "config", "set", "token-persistence", "keychain")
	if text := onDisk(t); strings.Contains(text, "token_prefix") || !strings.Contains(text, `"sealed":"`) {
		t.Error("the tokens' hashes are not sealed")
	}
	restart(t)
	wantKey(t, token, "after a start")

	must(t, "lock")
	wantLocked(t, token, "after lock")
	if out := must(t, "keys", "list"); !strings.Contains(out, "locked") {
		t.Errorf("list while locked: %s", out)
	}
	must(t, "unlock")
	wantKey(t, token, "after unlock")

	lockCollection(t)
	restart(t)
	eventually(t, "the vault is known to be locked", func() bool { return strings.Contains(must(t, "status"), "key vault is locked") })
	wantLocked(t, token, "with a locked keyring")
	if out, code := try("keys", "add", "groq", "gsk_new-0123456789"); code != 1 || !strings.Contains(out, "hostless unlock") || strings.Contains(onDisk(t), "gsk_new") {
		t.Errorf("a key for a locked vault: exit %d, %s", code, out)
	}
	if out, code := try("unlock"); code != 1 {
		t.Errorf("unlock of a keyring that stays locked: exit %d, %s", code, out)
	}
	unlockCollection(t)
	must(t, "unlock")
	wantKey(t, token, "after the keyring was unlocked")

	must(t, "keys", "migrate", "--to", "file")
	if !strings.Contains(onDisk(t), canary) {
		t.Error("migrated to the file, and not in it")
	}
	wantKey(t, token, "moved to the file")
	must(t, "keys", "migrate")
	if strings.Contains(onDisk(t), canary) {
		t.Error("migrated to the keychain, and readable on disk")
	}
	restart(t)
	wantKey(t, token, "moved back")
	refusedBelowRun(t)
	silentService(t, token)
}

// refusedBelowRun: a program below `hostless run` cannot use commands that are reserved
// for the user.
func refusedBelowRun(t *testing.T) {
	for _, args := range [][]string{{"token", "create"}, {"keys", "migrate", "--to", "file"}, {"unlock"}, {"lock"}, {"keys", "add", "openai", "x"}, {"command", "add", "x", "--", "cat"}} {
		out, code := try(append([]string{"run", "agent", "--", client()}, args...)...)
		if code == 0 || !strings.Contains(out, "may not") {
			t.Errorf("%v below a run: exit %d, %s", args, code, out)
		}
	}
	if strings.Contains(onDisk(t), canary) {
		t.Error("a program below a run moved the keys")
	}
}

// silentService replaces the real Secret Service with one that never responds.
func silentService(t *testing.T, token string) {
	out := command("busctl", "--user", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID", "s", secretsName)
	pid, err := strconv.Atoi(strings.TrimPrefix(out, "u "))
	if err != nil {
		t.Fatalf("whose is %s: %s", secretsName, out)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	var owner *bufio.Reader
	eventually(t, "the name is ours", func() bool {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), beSecrets+"=1")
		stdout, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		owner = bufio.NewReader(stdout)
		line, _ := owner.ReadString('\n')
		return line == "owner\n"
	})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the app") }))
	defer app.Close()
	at, _ := url.Parse(app.URL)
	must(t, "alias", "shop", at.Port())
	if took := restart(t); took > 2*time.Second {
		t.Errorf("ready after %s, want under 2 s", took)
	}
	req, _ := http.NewRequest(http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port), nil)
	req.Host = "shop.localhost:" + port
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "the app" {
		t.Errorf("the app: %d %s", resp.StatusCode, body)
	}
	status, text, took := chat(t, token)
	if status != 503 || !strings.Contains(text, "hostless unlock") || took > 5*time.Second {
		t.Errorf("a request while the keychain says nothing: %d after %s, %s", status, took, text)
	}
	eventually(t, "the keychain timed out", func() bool { return strings.Contains(must(t, "status"), "did not respond within") })
	wantLocked(t, token, "after the timeout")
}

// TestInsideWithoutKeychain: the key is stored in the file, and the output says so.
func TestInsideWithoutKeychain(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("run by TestNoKeychain, under a manager") // TestNoKeychain fails if it fails
	}
	must(t, "service", "install")
	out, code := try("keys", "add", "openai", canary, "--base-url", standIn(t)+"/v1")
	if code != 0 || !strings.Contains(out, "file") || !strings.Contains(out, "not encrypted: ") {
		t.Errorf("exit %d, %s", code, out)
	}
	restart(t)
	wantKey(t, strings.TrimSpace(must(t, "token", "create")), "after a start")
	if out, code := try("unlock"); code != 1 || !strings.Contains(out, "nothing to unlock") {
		t.Errorf("unlock: exit %d, %s", code, out)
	}
	if out, code := try("keys", "migrate"); code != 1 || !strings.Contains(out, "keychain") {
		t.Errorf("migrate: exit %d, %s", code, out)
	}
}
