package peer

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

	"golang.org/x/sys/unix"
)

// tcpOwner finds the socket that remote is the near end of. sock_diag(7) looks
// up exactly one socket; where a sandbox refuses netlink, /proc/net/tcp tells
// the same in a longer way.
func tcpOwner(remote, local netip.AddrPort) (int, error) {
	remote, local = unmap(remote), unmap(local)
	uid, err := diagOwner(remote, local)
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

const (
	sizeofDiagReq = 56 // struct inet_diag_req_v2
	sizeofDiagMsg = 72 // struct inet_diag_msg
	diagByFamily  = 20 // SOCK_DIAG_BY_FAMILY
)

// diagOwner asks NETLINK_SOCK_DIAG for the one socket with these ends.
func diagOwner(near, far netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, os.NewSyscallError("socket NETLINK_SOCK_DIAG", err)
	}
	defer unix.Close(fd)
	// The kernel answers within sendto; the timeout is for one that does not.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if err := unix.Sendto(fd, diagRequest(near, far), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, os.NewSyscallError("sendto", err)
	}
	var answer [4096]byte
	n, _, err := unix.Recvfrom(fd, answer[:], 0)
	if err != nil {
		return 0, os.NewSyscallError("recvfrom", err)
	}
	return parseDiag(answer[:n])
}

// diagRequest makes a nlmsghdr and an inet_diag_req_v2 without NLM_F_DUMP.
func diagRequest(near, far netip.AddrPort) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+sizeofDiagReq)
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], uint32(len(b)))
	ne.PutUint16(b[4:], diagByFamily)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST)
	ne.PutUint32(b[8:], 1) // sequence
	req := b[unix.SizeofNlMsghdr:]
	req[0] = unix.AF_INET
	if near.Addr().Is6() {
		req[0] = unix.AF_INET6
	}
	req[1] = unix.IPPROTO_TCP
	ne.PutUint32(req[4:], 0xffffffff) // all states
	id := req[8:]
	binary.BigEndian.PutUint16(id[0:], near.Port())
	binary.BigEndian.PutUint16(id[2:], far.Port())
	copy(id[4:20], near.Addr().AsSlice())
	copy(id[20:36], far.Addr().AsSlice())
	ne.PutUint32(id[40:], 0xffffffff) // INET_DIAG_NOCOOKIE
	ne.PutUint32(id[44:], 0xffffffff)
	return b
}

// parseDiag reads uid and inode of an inet_diag_msg. A socket that no process
// holds any more has no inode, and root's uid.
func parseDiag(b []byte) (int, error) {
	if len(b) < unix.SizeofNlMsghdr {
		return 0, errors.New("sock_diag: short answer")
	}
	kind, body := binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:]
	switch {
	case kind == unix.NLMSG_ERROR && len(body) >= 4:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		if errno == unix.ENOENT {
			// A kernel without inet_diag's module says the same as one that found
			// nothing; /proc/net/tcp decides.
			return 0, errno
		}
		return 0, os.NewSyscallError("sock_diag", errno)
	case kind != diagByFamily || len(body) < sizeofDiagMsg:
		return 0, fmt.Errorf("sock_diag: answer of kind %d, %d bytes", kind, len(body))
	}
	uid, inode := binary.NativeEndian.Uint32(body[64:]), binary.NativeEndian.Uint32(body[68:])
	if inode == 0 {
		return 0, ErrGone
	}
	return int(uid), nil
}

// procOwner looks through /proc/net/tcp or tcp6 (proc_net(5)).
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

// procAddr writes an address as /proc/net/tcp does: words of four bytes in the
// machine's order, in hexadecimal.
func procAddr(a netip.AddrPort) string {
	raw := a.Addr().AsSlice()
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	return strings.ToUpper(hex.EncodeToString(raw)) + fmt.Sprintf(":%04X", a.Port())
}
