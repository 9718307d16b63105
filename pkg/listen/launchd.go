package listen

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// collect takes the sockets of each name that launchd may have, with activate. The errors
// ESRCH (launchd did not start this process) and ENOENT (the job has no socket with this
// name) mean that there are none.
func collect(activate func(name string) ([]int, error)) (files []*os.File, err error) {
	for _, name := range []string{NameHTTP, NameWeb, NameControl} {
		fds, activateErr := activate(name)
		if errors.Is(activateErr, syscall.ESRCH) || errors.Is(activateErr, syscall.ENOENT) {
			continue
		}
		if activateErr != nil {
			err = errors.Join(err, fmt.Errorf("take the sockets named %q from launchd: %w", name, activateErr))
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), name))
		}
	}
	if err == nil {
		return files, nil
	}
	for _, f := range files {
		f.Close()
	}
	return nil, err
}
