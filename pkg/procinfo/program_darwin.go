package procinfo

import "golang.org/x/sys/unix"

// Program returns the short name of a process's program, or "" if it has exited.
func Program(pid int) string {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Proc.P_comm[:])
}
