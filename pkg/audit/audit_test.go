package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/audit"
)

func newLog(t *testing.T, path string, size int64) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.Config{Path: path, MaxFile: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func add(t *testing.T, l *audit.Log, n int) {
	t.Helper()
	if err := l.Append(audit.Entry{UID: 1, PID: n, Action: "POST /auth/token", Target: fmt.Sprint(n), Result: "ok"}); err != nil {
		t.Fatal(err)
	}
}

func TestAppendAndTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	os.WriteFile(path, []byte(`{"time":"2026-01-02T03:04:05Z","pid":0,"action":"POST /stop","result":"ok"}`+"\n"+`{"cut off`), 0o644)
	l := newLog(t, path, 0)
	for n := 1; n <= 5; n++ {
		add(t, l, n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	all, err := l.Tail(100)
	if err != nil || len(all) != 6 || all[0].Action != "POST /stop" || all[5].PID != 5 || all[5].Time.IsZero() || all[5].Time.Location() != time.UTC {
		t.Errorf("Tail = %+v, %v", all, err)
	}
	if last, _ := newLog(t, path, 0).Tail(2); len(last) != 2 || last[0].PID != 4 {
		t.Errorf("last two: %+v", last)
	}
}

// TestRotation: the number of files is bounded, and no recent entry is lost.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "audit.jsonl"), 1000)
	for n := range 200 {
		add(t, l, n)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 4 {
		t.Errorf("files: %v", files)
	}
	for _, f := range files {
		if info, _ := os.Stat(f); info.Size() > 1000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, %v", f, info.Size(), info.Mode())
		}
	}
	last, err := l.Tail(15)
	if err != nil || len(last) != 15 {
		t.Fatalf("%d entries, %v", len(last), err)
	}
	for i, e := range last {
		if e.PID != 185+i {
			t.Errorf("entry %d is of %d", i, e.PID)
		}
	}
}

func TestFollow(t *testing.T) {
	l := newLog(t, filepath.Join(t.TempDir(), "audit.jsonl"), 0)
	add(t, l, 1)
	add(t, l, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var seen []int
	err := l.Follow(ctx, 1, func(e audit.Entry) error {
		seen = append(seen, e.PID)
		switch e.PID {
		case 2:
			add(t, l, 3)
		case 3:
			cancel()
		}
		return nil
	})
	if err != nil || fmt.Sprint(seen) != "[2 3]" {
		t.Errorf("saw %v, %v", seen, err)
	}
}
