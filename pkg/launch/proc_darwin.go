package launch

import "golang.org/x/sys/unix"

// zombie is SZOMB of sys/proc.h.
const zombie = 5

// processes asks the kernel for its table. Zombies are no processes any more.
func processes() []process {
	rows, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	all := make([]process, 0, len(rows))
	for i := range rows {
		if rows[i].Proc.P_stat == zombie {
			continue
		}
		all = append(all, process{pid: int(rows[i].Proc.P_pid), ppid: int(rows[i].Eproc.Ppid), pgrp: int(rows[i].Eproc.Pgid)})
	}
	return all
}
