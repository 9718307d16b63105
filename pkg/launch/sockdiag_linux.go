package launch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	diagByFamily  = 20      // SOCK_DIAG_BY_FAMILY
	sizeofDiagReq = 56      // struct inet_diag_req_v2
	sizeofDiagMsg = 72      // struct inet_diag_msg
	diagListen    = 1 << 10 // TCP_LISTEN, of the states asked for
)

// diagListeners asks sock_diag(7) for the listening TCP sockets that loopback
// reaches, by inode. The kernel walks these alone, where /proc/net/tcp is made
// of every connection of the machine, ended ones included.
func diagListeners() (map[string]int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket NETLINK_SOCK_DIAG", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	found := map[string]int{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := diagDump(fd, family, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func diagDump(fd int, family byte, found map[string]int) error {
	ne := binary.NativeEndian
	ask := make([]byte, unix.SizeofNlMsghdr+sizeofDiagReq)
	ne.PutUint32(ask[0:], uint32(len(ask)))
	ne.PutUint16(ask[4:], diagByFamily)
	ne.PutUint16(ask[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req := ask[unix.SizeofNlMsghdr:]
	req[0], req[1] = family, unix.IPPROTO_TCP
	ne.PutUint32(req[4:], diagListen)
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, answer, 0)
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if done, err := parseDump(answer[:n], found); done || err != nil {
			return err
		}
	}
}

// parseDump reads a part of a dump's answer; it reports whether that was the last.
func parseDump(b []byte, found map[string]int) (done bool, err error) {
	ne := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(ne.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, errors.New("sock_diag: a message of a wrong size")
		}
		kind, body := ne.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size]
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if errno := int32(ne.Uint32(body)); errno != 0 {
					return true, os.NewSyscallError("sock_diag", unix.Errno(-errno))
				}
			}
			return true, nil
		case diagByFamily:
			if len(body) < sizeofDiagMsg {
				return false, fmt.Errorf("sock_diag: %d bytes of a socket", len(body))
			}
			address := netip.AddrFrom4([4]byte(body[8:12]))
			if body[0] == unix.AF_INET6 {
				address = netip.AddrFrom16([16]byte(body[8:24])).Unmap()
			}
			if inode := ne.Uint32(body[68:]); inode != 0 && (address.IsUnspecified() || address.IsLoopback()) {
				found[strconv.FormatUint(uint64(inode), 10)] = int(binary.BigEndian.Uint16(body[4:]))
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false, nil
}
