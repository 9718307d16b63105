package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// hideMemory makes the process undumpable: no core, no ptrace by its own user's
// other processes (PR_SET_DUMPABLE, prctl(2)).
func hideMemory() error {
	return os.NewSyscallError("prctl PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// monotonic is the clock that systemd compares reloads by.
func monotonic() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
