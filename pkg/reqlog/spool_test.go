package reqlog_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/reqlog"
)

// killedEnv is the directory of the log that the child process of TestKilled writes.
const killedEnv = "HOSTLESS_TEST_KILLED_LOG"

// TestKilled: a kill loses no row whose Done has returned, and after the next start each
// row is there once. Recover leaves the rows of a running process alone.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedEnv); dir != "" {
		writeUntilKilled(t, dir)
		return
	}
	dir := filepath.Join(t.TempDir(), "requests")
	total := 0
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir, fmt.Sprint("ROUND=", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		n := 0
		for n < 300+round*777 && lines.Scan() {
			n++
		}
		if err := reqlog.Recover(dir); err != nil { // while the process runs
			t.Error(err)
		}
		cmd.Process.Kill()
		for lines.Scan() {
			n++
		}
		cmd.Wait()
		total += n
		if err := reqlog.Recover(dir); err != nil {
			t.Fatal(err)
		}
		l := open(t, reqlog.Config{Dir: dir})
		rows, err := l.Last(reqlog.MaxRows, reqlog.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if seen[r.ID] {
				t.Errorf("%s is there twice", r.ID)
			}
			seen[r.ID] = true
		}
		for i := range n {
			if id := fmt.Sprintf("%d-%d", round, i); !seen[id] {
				t.Errorf("%s of %d and those after it are lost", id, n)
				break
			}
		}
		l.Close()
	}
	if total < 300 {
		t.Errorf("only %d rows", total)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "spool", "*")); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
}

func writeUntilKilled(t *testing.T, dir string) {
	l := open(t, reqlog.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	l.Done(done("first-"+os.Getenv("ROUND"), noon)) // creates the spool
	l.Last(0, reqlog.Filter{})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if spools, _ := filepath.Glob(filepath.Join(dir, "spool", "*")); len(spools) > 0 || time.Now().After(deadline) {
			break
		}
	}
	l.Done(done("second-"+os.Getenv("ROUND"), noon)) // touches its pages
	l.Last(0, reqlog.Filter{})
	for i := range 100_000 {
		l.Done(done(fmt.Sprintf("%s-%d", os.Getenv("ROUND"), i), noon.Add(time.Duration(i)*time.Millisecond)))
		fmt.Println(i)
		for next := time.Now().Add(30 * time.Microsecond); time.Now().Before(next); { // no gateway is faster
			runtime.Gosched()
		}
	}
}

// TestSpoolCut: a truncated file, or one that is not a spool, does no harm.
func TestSpoolCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	os.MkdirAll(filepath.Join(dir, "spool"), 0o700)
	for name, text := range map[string]string{"empty": "", "short": `{"id":"x"`, "other": strings.Repeat("x", 1<<20)} {
		os.WriteFile(filepath.Join(dir, "spool", name), []byte(text), 0o600)
	}
	if err := reqlog.Recover(dir); err != nil {
		t.Error(err)
	}
	l := open(t, reqlog.Config{Dir: dir})
	l.Done(done("a", noon))
	if rows, err := l.Last(10, reqlog.Filter{}); err != nil || ids(rows) != "a" {
		t.Errorf("%s, %v", ids(rows), err)
	}
	for i := range 50 { // truncate the file while it is mapped
		l.Done(done(fmt.Sprint("b", i), noon))
		if i%10 == 0 {
			l.Last(0, reqlog.Filter{})
			spools, _ := filepath.Glob(filepath.Join(dir, "spool", "*"))
			for _, path := range spools {
				os.Truncate(path, 0)
			}
		}
	}
	if rows, err := l.Last(100, reqlog.Filter{}); err != nil || len(rows) != 51 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
