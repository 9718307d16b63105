package procinfo

import "golang.org/x/sys/unix"

// Program is the short name of a process's program, or "" where it has ended.
func Program(pid int) string {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Proc.P_comm[:])
}
