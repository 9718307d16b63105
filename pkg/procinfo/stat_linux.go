package procinfo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// All returns the process table, including zombies: the leading thread of an exiting
// process may be one while other threads still are the parents of child processes. It is
// empty if /proc cannot be read.
func All() []Process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	all := make([]Process, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, err := Stat(pid); err == nil {
				all = append(all, p)
			}
		}
	}
	return all
}

// Stat returns the process with that pid. The error is syscall.ESRCH if there is none.
func Stat(pid int) (Process, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, syscall.ESRCH
	}
	if err != nil {
		return Process{}, err
	}
	return parseStat(pid, data)
}

// parseStat parses /proc/PID/stat (proc_pid_stat(5)). The name in parentheses may contain
// any character, so fields are counted from the last parenthesis.
func parseStat(pid int, data []byte) (Process, error) {
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "X" {
		return Process{}, syscall.ESRCH
	}
	ppid, err1 := strconv.Atoi(fields[1])
	pgrp, err2 := strconv.Atoi(fields[2])
	if err := errors.Join(err1, err2); err != nil {
		return Process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return Process{PID: pid, PPID: ppid, PGRP: pgrp, Dead: fields[0] == "Z", Start: fields[19]}, nil
}
