// Package cli runs the real client and daemon with testscript archives: the output of
// each command and its exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestScripts(t *testing.T) {
	bin := harness.Bin(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setup(e, bin) },
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"control": controlCommand,
			"get":     get,
			"listens": listens,
			"mode":    mode,
			"openai":  openai,
		},
	})
}

// setup gives each script its own home, with a path short enough for a socket, and stops
// the daemon afterwards.
func setup(e *testscript.Env, bin string) error {
	home, err := os.MkdirTemp("/tmp", "hl-")
	if err != nil {
		return err
	}
	e.Setenv("HOSTLESS_HOME", home)
	e.Setenv("HOME", filepath.Join(home, "user"))
	e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	e.Setenv("NO_COLOR", "1")
	e.Setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:") // protects the keychain of whoever runs the tests
	e.Defer(func() {
		endDaemon(home)
		os.RemoveAll(home)
	})
	return os.Mkdir(filepath.Join(home, "user"), 0o700)
}

// endDaemon stops the daemon named in a home's pid file.
func endDaemon(home string) {
	text, err := os.ReadFile(filepath.Join(home, "hostless.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return
	}
	syscall.Kill(pid, syscall.SIGTERM)
	for range 500 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

// condition implements [systemd]: a user manager is available.
func condition(cond string) (bool, error) {
	if cond != "systemd" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	return exec.Command("systemctl", "--user", "show-environment").Run() == nil, nil
}

// exits runs a program that must exit with the code: exits CODE PROGRAM ARG…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// controlCommand sends a request to the control socket: control METHOD PATH FILE [BODY]
// stores the response, which must be successful.
func controlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: control METHOD PATH FILE [BODY]")
	}
	socket := filepath.Join(ts.Getenv("HOSTLESS_HOME"), "control.sock")
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequest(args[0], "http://hostless"+args[1], strings.NewReader(strings.Join(args[3:], "")))
	ts.Check(err)
	store(ts, client, req, neg, args[2])
}

// get sends a request to the daemon's port: get HOST PATH FILE. With ! it must fail.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: get HOST PATH FILE")
	}
	port, err := os.ReadFile(filepath.Join(ts.Getenv("HOSTLESS_HOME"), "hostless.port"))
	ts.Check(err)
	at := strings.TrimSpace(string(port))
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+at+args[1], nil)
	ts.Check(err)
	req.Host = args[0] + ":" + at
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	store(ts, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, req, neg, args[2])
}

func store(ts *testscript.TestScript, client *http.Client, req *http.Request, neg bool, file string) {
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if failed := resp.StatusCode >= 400; failed != neg {
		ts.Fatalf("%s %s: %s\n%s", req.Method, req.URL, resp.Status, body)
	}
	ts.Check(os.WriteFile(ts.MkAbs(file), body, 0o600))
}

// listens serves a page with the text on a free port until the end of the script, and
// stores the port in a variable: listens VARIABLE TEXT
func listens(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: listens VARIABLE TEXT")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, args[1]) })}
	go server.Serve(l)
	ts.Defer(func() { server.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// openai serves a provider that accepts one key and has no models until the end of the
// script, and stores its base URL in a variable: openai VARIABLE KEY
func openai(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: openai VARIABLE KEY")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer "+args[1] {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}`)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL+"/v1")
}

// mode checks a file's permissions: mode 600 FILE
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatInt(int64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
