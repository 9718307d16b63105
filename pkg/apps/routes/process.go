package routes

import (
	"os"

	"github.com/hostless/hostless/pkg/procinfo"
)

// process identifies a process. The start time distinguishes it from a later process with
// the same id.
type process struct {
	pid   int
	start string
}

func identify(pid int) (process, error) {
	p, err := procinfo.Stat(pid)
	if err != nil {
		return process{}, err
	}
	if p.Dead {
		return process{}, os.ErrProcessDone
	}
	return process{pid, p.Start}, nil
}

func (p process) alive() bool {
	now, err := identify(p.pid)
	return err == nil && now == p
}
