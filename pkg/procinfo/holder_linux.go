package procinfo

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// SocketHolder returns a process that holds the other end of a TCP connection within this
// machine, and its executable ("" if that is hidden). If several processes share the
// socket, it returns any of them. The error is ErrUnsupported if the kernel does not
// provide the information, and ErrGone if no process that we can inspect holds the other
// end. It inspects all processes, so it is meant for questions to the user, not for each
// request.
func SocketHolder(remote, local netip.AddrPort) (pid int, program string, err error) {
	s, err := diagOne(unmap(remote), unmap(local))
	if err != nil {
		return 0, "", fmt.Errorf("holder of %s: %w", remote, err)
	}
	inode := strconv.FormatUint(uint64(s.inode), 10)
	for _, p := range All() {
		if slices.Contains(socketInodes(p.PID), inode) {
			program, _ = os.Readlink(filepath.Join("/proc", strconv.Itoa(p.PID), "exe"))
			return p.PID, program, nil
		}
	}
	return 0, "", ErrGone
}
