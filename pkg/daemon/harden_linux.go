package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// hideMemory makes the process undumpable: no core dump, and no ptrace by other processes of
// its user (PR_SET_DUMPABLE, prctl(2)).
func hideMemory() error {
	return os.NewSyscallError("prctl PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// monotonic returns the time of CLOCK_MONOTONIC, which systemd compares.
func monotonic() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
