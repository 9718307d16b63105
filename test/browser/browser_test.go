// Package browser tests both planes with a real browser: the isolation of origins, who
// may call the gateway, the pages shown instead of an app, and that streams, downloads
// and sockets work.
package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestMain also runs the app of a `hostless run` (see lateApp).
func TestMain(m *testing.M) {
	if fifo := os.Getenv("APP_WAITS_FOR"); fifo != "" {
		lateApp(fifo)
	}
	harness.Main(m)
}

// lateApp prints its progress, and listens once the named pipe is opened.
func lateApp(fifo string) {
	fmt.Println("compiling 1 of 2")
	fmt.Println("compiling 2 of 2")
	if f, err := os.Open(fifo); err == nil {
		f.Close()
	}
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>late</title><h1>here at last</h1>")
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// app serves a handler under NAME.localhost and returns its origin.
func app(t *testing.T, d *harness.Daemon, name string, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	d.Must("alias", name, srv.URL[strings.LastIndexByte(srv.URL, ':')+1:])
	return "http://" + name + ".localhost:" + d.Port
}

// html returns a handler that serves one page.
func html(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>app</title>"+body)
	}
}

// run starts `hostless run` and stops it at the end of the test.
func run(t *testing.T, d *harness.Daemon, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), append([]string{"run"}, args...)...)
	cmd.Dir, cmd.Env = t.TempDir(), append(append([]string{}, d.Env...), env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("hostless run %s:\n%s", strings.Join(args, " "), out.String())
		}
	})
	return cmd
}
