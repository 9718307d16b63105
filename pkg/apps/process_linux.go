package apps

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// process is one process, told apart from a later one with the same id by the
// time it started.
type process struct {
	pid   int
	start string // field 22 of /proc/PID/stat, in clock ticks since boot
}

func identify(pid int) (process, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The second field is the command in parentheses, which may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, os.ErrProcessDone
	}
	return process{pid, fields[19]}, nil
}

func (p process) alive() bool {
	now, err := identify(p.pid)
	return err == nil && now == p
}
