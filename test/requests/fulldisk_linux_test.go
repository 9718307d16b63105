package requests_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestFullDisk: while the disk of the request log is full, responses and streams continue,
// and lost rows are counted and reported. When there is space again, complete rows are
// written again.
func TestFullDisk(t *testing.T) {
	harness.NeedRoot(t)
	home := harness.Home(t)
	dir := filepath.Join(home, "requests")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		harness.Missing(t, "no tmpfs can be mounted: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	w := &world{Daemon: harness.StartIn(t, home), t: t}
	s := reporting(t)
	w.provider("openai", s.URL+"/v1")
	w.token = w.mint("--name", "tests")
	asked := 0
	ask := func(n int) {
		t.Helper()
		for range n {
			asked++
			stream := asked%2 == 0
			status, body := w.ask("POST", "/v1/responses", use("gpt-5", "/v1/responses", stream, 100, 0, 0, 0, 10))
			if status != 200 || stream && !strings.Contains(body, "response.completed") {
				t.Fatalf("request %d: %d %s", asked, status, body)
			}
		}
	}
	ask(150) // a row has about 800 bytes
	dropped := func() int {
		n, err := strconv.Atoi(sample(w.Must("metrics"), "hostless_log_dropped_total"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	lost := dropped()
	if lost == 0 || lost >= 150 {
		t.Fatalf("%d of 150 rows are lost", lost)
	}
	for _, command := range []string{"status", "doctor"} {
		if out := w.CLI(command).Stdout; !strings.Contains(out, "the request log cannot be written") || !strings.Contains(out, "no space left on device") {
			t.Errorf("hostless %s:\n%s", command, out)
		}
	}
	if n := strings.Count(w.Log(), "cannot write rows of the request log"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	var spent report
	if w.get("/spend?since=1h", &spent); spent.Total.Requests != int64(asked) {
		t.Errorf("spend has %d of %d requests", spent.Total.Requests, asked)
	}

	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	ask(20)
	rows := w.rows("n=1000") // waits for the rows
	if len(rows) != asked || dropped() != lost {
		t.Errorf("%d rows of %d, %d lost, %d before", len(rows), asked, dropped(), lost)
	}
	if out := w.Must("status"); !strings.Contains(out, fmt.Sprintf("the request log has lost %d rows", lost)) {
		t.Errorf("status:\n%s", out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			written++
			if r := (row{}); json.Unmarshal(line, &r) != nil || r.ID == "" || r.Cost == nil || line[len(line)-1] != '\n' {
				t.Errorf("a torn row: %q", line)
			}
		}
	}
	if written != asked-lost {
		t.Errorf("%d rows are in the files, want %d", written, asked-lost)
	}
	w.Stop()
}
