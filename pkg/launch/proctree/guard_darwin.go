package proctree

import "syscall"

// BecomeReaper does nothing, since macOS has no subreaper. Orphans of the child are found
// by its process group.
func BecomeReaper() {}

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
