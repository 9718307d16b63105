package procinfo

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// SocketOwner returns the uid of the process that holds the other end of a TCP connection
// within this machine: the socket whose local address is remote and whose peer is local.
// It looks up that socket with sock_diag(7). If a sandbox forbids netlink, or the kernel
// has no inet_diag module (ENOENT), it reads /proc/net/tcp. The error is ErrUnsupported
// if neither works, and ErrGone if the other end is closed or not on this machine.
func SocketOwner(remote, local netip.AddrPort) (uid int, err error) {
	remote, local = unmap(remote), unmap(local)
	uid, err = diagOwner(remote, local)
	if err == nil || errors.Is(err, ErrGone) {
		return uid, err
	}
	uid, procErr := procOwner(remote, local)
	if procErr == nil || errors.Is(procErr, ErrGone) {
		return uid, procErr
	}
	return 0, fmt.Errorf("%w: %w", ErrUnsupported, errors.Join(err, procErr))
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// procOwner searches /proc/net/tcp or tcp6 (proc_net(5)).
func procOwner(near, far netip.AddrPort) (int, error) {
	path := "/proc/net/tcp"
	if near.Addr().Is6() {
		path = "/proc/net/tcp6"
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	want := [2]string{procAddr(near), procAddr(far)}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[1] != want[0] || fields[2] != want[1] {
			continue
		}
		if fields[9] == "0" {
			return 0, ErrGone
		}
		return strconv.Atoi(fields[7])
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, ErrGone
}

// procAddr formats an address as in /proc/net/tcp: four-byte words in the host's byte
// order, in hexadecimal.
func procAddr(a netip.AddrPort) string {
	raw := a.Addr().AsSlice()
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	return strings.ToUpper(hex.EncodeToString(raw)) + fmt.Sprintf(":%04X", a.Port())
}
