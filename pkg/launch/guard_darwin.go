package launch

import "syscall"

// becomeReaper does nothing: macOS has no subreaper. Orphans of the child are
// found by its process group.
func becomeReaper() {}

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
