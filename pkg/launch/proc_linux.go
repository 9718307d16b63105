package launch

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// processes reads /proc, zombies included: the leader of a process that is just
// ending may be one while its other threads still are the parents of its
// children.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	all := make([]process, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readStat(pid); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// readStat parses /proc/PID/stat (proc(5)): the name in parentheses may hold
// anything, so fields are counted from the last parenthesis.
func readStat(pid int) (process, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return process{}, false
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 || fields[0] == "X" {
		return process{}, false
	}
	ppid, err1 := strconv.Atoi(fields[1])
	pgrp, err2 := strconv.Atoi(fields[2])
	return process{pid: pid, ppid: ppid, pgrp: pgrp, dead: fields[0] == "Z"}, err1 == nil && err2 == nil
}
