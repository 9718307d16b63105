package vault

import (
	"os/exec"
	"syscall"
)

// detach gives the helper a session of its own: it has no terminal to ask at, and
// is ended with all that it started.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
