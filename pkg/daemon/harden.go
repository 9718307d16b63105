package daemon

import (
	"errors"
	"os"
	"syscall"
)

// Harden changes this process permanently: it sets the umask so that files are private, and
// keeps its memory, which contains keys, out of core dumps and from other processes. It must
// be called once, before Run and after the environment has been read.
func Harden() error {
	syscall.Umask(0o077)
	return errors.Join(
		os.NewSyscallError("setrlimit RLIMIT_CORE", syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})),
		hideMemory(),
	)
}
