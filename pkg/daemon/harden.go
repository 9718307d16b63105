package daemon

import (
	"errors"
	"os"
	"syscall"
)

// Harden changes this process for good: files are private from the start, and
// its memory, which holds keys, is in no core dump and no other process's sight.
// Call it once, before Run, after the environment has been read.
func Harden() error {
	syscall.Umask(0o077)
	return errors.Join(
		os.NewSyscallError("setrlimit RLIMIT_CORE", syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})),
		hideMemory(),
	)
}
