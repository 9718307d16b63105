package procinfo

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// TestProcess follows a child process from start to exit.
func TestProcess(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	p, err := Stat(pid)
	if err != nil || p.PID != pid || p.PPID != os.Getpid() || p.PGRP != syscall.Getpgrp() || p.Dead || p.Start == "" {
		t.Errorf("Stat = %+v, %v", p, err)
	}
	if !Alive(pid) {
		t.Error("a running child is not alive")
	}
	if ancestors, err := Ancestors(pid); err != nil || len(ancestors) < 2 || ancestors[0] != os.Getpid() || ancestors[1] != os.Getppid() {
		t.Errorf("Ancestors = %v, %v", ancestors, err)
	}
	tree := Descendants(os.Getpid())
	if i := slices.IndexFunc(tree, func(p Process) bool { return p.PID == pid }); i < 0 || tree[i].Depth != 1 {
		t.Errorf("Descendants = %+v, want %d at depth 1", tree, pid)
	}
	in.Close()
	_ = cmd.Wait()
	if _, err := Stat(pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Stat of a process that has ended: %v, want %v", err, syscall.ESRCH)
	}
	if ancestors, err := Ancestors(pid); !errors.Is(err, syscall.ESRCH) || len(ancestors) != 0 {
		t.Errorf("Ancestors of a process that has ended: %v, %v", ancestors, err)
	}
	if Alive(pid) {
		t.Error("a process that has ended is alive")
	}
}

// TestBelow: a zombie links to its descendants, and a loop in the table ends.
func TestBelow(t *testing.T) {
	all := []Process{{PID: 2, PPID: 1}, {PID: 3, PPID: 2, Dead: true}, {PID: 4, PPID: 3}, {PID: 5, PPID: 6}, {PID: 6, PPID: 5}, {PID: 0, PPID: 0}}
	want := []Process{{PID: 2, PPID: 1, Depth: 1}, {PID: 4, PPID: 3, Depth: 3}}
	if got := Below(all, 1); !slices.Equal(got, want) {
		t.Errorf("Below = %+v, want %+v", got, want)
	}
	if got := Below(all, 5); len(got) != 1 || got[0].PID != 6 {
		t.Errorf("Below of a loop = %+v", got)
	}
}
