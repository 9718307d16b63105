//go:build !linux

package apps

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is one process, told apart from a later one with the same id by the
// time it started, as ps(1) tells it.
type process struct {
	pid   int
	start string
}

func identify(pid int) (process, error) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return process{}, err
	}
	if err := p.Signal(syscall.Signal(0)); err != nil && err != syscall.EPERM {
		return process{}, err
	}
	out, err := exec.Command("ps", "-o", "lstart=,stat=", "-p", fmt.Sprint(pid)).Output()
	if err != nil {
		return process{}, os.ErrProcessDone
	}
	text := strings.TrimSpace(string(out))
	i := strings.LastIndexByte(text, ' ')
	if i < 0 || strings.HasPrefix(text[i+1:], "Z") {
		return process{}, os.ErrProcessDone
	}
	return process{pid, text[:i]}, nil
}

func (p process) alive() bool {
	now, err := identify(p.pid)
	return err == nil && now == p
}
