package vault

import (
	"os/exec"
	"syscall"
)

// detach starts the helper in its own session, so that it has no terminal to prompt on
// and can be killed with its descendants.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
