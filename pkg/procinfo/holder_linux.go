package procinfo

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// SocketHolder finds a process that holds the other end of a TCP connection within
// this machine, and its executable ("" where that is hidden). Of several that share
// the socket it is one. The error is ErrUnsupported where the kernel does not tell,
// ErrGone where no process that may be looked into holds that end. It looks through
// all processes: it is for what a person is asked, not for each request.
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
