// Package users makes a second user of the machine try to access another user's daemon.
package users

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// intruder makes the test program act as the second user.
const intruder = "HOSTLESS_TEST_INTRUDER"

// knowledge is what the second user has learned.
type knowledge struct {
	Port, Token, Home, Socket string
	PID                       int
	Files                     []string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(intruder); text != "" {
		var p knowledge
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			panic(err)
		}
		json.NewEncoder(os.Stdout).Encode(p.try())
		return
	}
	harness.Main(m)
}

// try makes each attempt and returns the results: "" means refused, anything else means
// success.
func (p knowledge) try() map[string]string {
	got := map[string]string{}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for name, host := range map[string]string{"gateway with a stolen token": "localhost", "an app": "shop.localhost"} {
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+p.Port+"/v1/models", nil)
		if err != nil {
			panic(err)
		}
		req.Host = host + ":" + p.Port
		req.Header.Set("Authorization", "Bearer "+p.Token)
		got[name] = ""
		if resp, err := client.Do(req); err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				got[name] = fmt.Sprintf("%s %s", resp.Status, body)
			}
		}
	}
	got["control socket"] = ""
	if conn, err := net.Dial("unix", p.Socket); err == nil {
		conn.Close()
		got["control socket"] = "connected"
	}
	for _, name := range append([]string{p.Home}, p.Files...) {
		got[name] = ""
		if data, err := os.ReadFile(name); err == nil {
			got[name] = fmt.Sprintf("%d bytes", len(data))
		} else if entries, err := os.ReadDir(name); err == nil {
			got[name] = fmt.Sprintf("%d entries", len(entries))
		}
	}
	for _, name := range []string{"environ", "mem", "maps", "fd", "cwd"} {
		path := fmt.Sprintf("/proc/%d/%s", p.PID, name)
		got[path] = ""
		if _, err := os.ReadFile(path); err == nil {
			got[path] = "read"
		}
		if _, err := os.ReadDir(path); err == nil {
			got[path] = "listed"
		}
	}
	got["signal"] = ""
	if err := syscall.Kill(p.PID, 0); err == nil {
		got["signal"] = "may be sent"
	}
	return got
}

// TestSecondUser: another user of the machine, with a stolen token, tries the port, the
// control socket, the files and the process.
func TestSecondUser(t *testing.T) {
	harness.NeedRoot(t)
	d := harness.Start(t)
	if r := d.CLIWith("sk-canary-of-the-owner-0123456789", "keys", "add", "openai", "-"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	d.Must("config", "set-token-persistence", "file")
	p := knowledge{Port: d.Port, Token: d.Must("token", "create", "--name", "stolen"), Home: d.Home, Socket: filepath.Join(d.Home, "control.sock"), PID: d.PID()}
	d.Must("alias", "shop", d.Port)
	err := filepath.WalkDir(d.Home, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			p.Files = append(p.Files, path)
		}
		return err
	})
	if err != nil || len(p.Files) < 4 {
		t.Fatalf("%v, %v", p.Files, err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	// The owner succeeds everywhere, so a refusal is caused by the user.
	if resp, err := http.Get(d.URL + "/health"); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	for name, through := range act(t, string(text), nil) {
		if through == "" && name != "an app" && !strings.HasPrefix(name, "/proc/") && filepath.Ext(name) != ".lock" {
			t.Errorf("the owner is refused: %s", name)
		}
	}
	for name, through := range act(t, string(text), &syscall.Credential{Uid: 65534, Gid: 65534}) {
		if through != "" {
			t.Errorf("a second user gets through to %s: %s", name, through)
		}
	}
}

// TestAllowedUser: a user whom the owner allows to reach apps reaches only these, and not
// after the setting is removed.
func TestAllowedUser(t *testing.T) {
	harness.NeedRoot(t)
	d := harness.Start(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "of the owner") }))
	defer app.Close()
	_, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	d.Must("alias", "shop", port)
	text, err := json.Marshal(knowledge{Port: d.Port, Token: d.Must("token", "create", "--name", "stolen"), Home: d.Home, Socket: filepath.Join(d.Home, "control.sock"), PID: d.PID()})
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []string{"1001,65534", ""} {
		d.Must("config", "set", "allowed-uids", allowed)
		for name, through := range act(t, string(text), &syscall.Credential{Uid: 65534, Gid: 65534}) {
			if got, want := through != "", name == "an app" && allowed != ""; got != want {
				t.Errorf("allowed-uids %q, %s: got through is %v, want %v (%s)", allowed, name, got, want, through)
			}
		}
	}
}

// act runs the attempts as another user, or as this one.
func act(t *testing.T, text string, as *syscall.Credential) (got map[string]string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hl-intruder-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "intruder")
	if err := errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = []string{intruder + "=" + text}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return got
}
