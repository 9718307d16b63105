package procinfo

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
	diagListen    = 1 << 10 // TCP_LISTEN, as a bit in the requested states
	diagAny       = ^uint32(0)
)

// diagSocket contains the used fields of an inet_diag_msg.
type diagSocket struct {
	local netip.AddrPort
	uid   int
	inode uint32 // 0 if no process holds the socket
}

// diagRequest returns an nlmsghdr with an inet_diag_req_v2 for sockets in some of the
// kernel's states. near and far select exactly one socket; zero values request a dump of
// the whole family.
func diagRequest(family byte, states uint32, near, far netip.AddrPort) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+sizeofDiagReq)
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], uint32(len(b)))
	ne.PutUint16(b[4:], diagByFamily)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST)
	ne.PutUint32(b[8:], 1) // sequence
	req := b[unix.SizeofNlMsghdr:]
	req[0], req[1] = family, unix.IPPROTO_TCP
	ne.PutUint32(req[4:], states)
	if !near.IsValid() {
		ne.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		return b
	}
	id := req[8:]
	binary.BigEndian.PutUint16(id[0:], near.Port())
	binary.BigEndian.PutUint16(id[2:], far.Port())
	copy(id[4:20], near.Addr().AsSlice())
	copy(id[20:36], far.Addr().AsSlice())
	ne.PutUint32(id[40:], diagAny) // INET_DIAG_NOCOOKIE
	ne.PutUint32(id[44:], diagAny)
	return b
}

// diagnose sends requests over one netlink socket and calls take with every socket in the
// responses. An error of take ends it. The kernel responds synchronously; the timeout is
// only a safeguard.
func diagnose(take func(diagSocket) error, requests ...[]byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket NETLINK_SOCK_DIAG", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	var one [4096]byte // enough for a response with a single socket; dumps need larger parts
	answer := one[:]
	for _, request := range requests {
		if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return os.NewSyscallError("sendto", err)
		}
		dump := binary.NativeEndian.Uint16(request[6:])&unix.NLM_F_DUMP != 0
		if dump && len(answer) == len(one) {
			answer = make([]byte, 32<<10)
		}
		for done := false; !done; {
			n, _, err := unix.Recvfrom(fd, answer, 0)
			if err != nil {
				return os.NewSyscallError("recvfrom", err)
			}
			if done, err = parseDiag(answer[:n], take); err != nil {
				return err
			}
			done = done || !dump // the response for a single socket has no end message
		}
	}
	return nil
}

// parseDiag parses part of a response. It reports whether that was the end of a dump.
func parseDiag(b []byte, take func(diagSocket) error) (done bool, err error) {
	ne := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(ne.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, errors.New("sock_diag: message with a wrong size")
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
				return false, fmt.Errorf("sock_diag: message with %d bytes", len(body))
			}
			address := netip.AddrFrom4([4]byte(body[8:12]))
			if body[0] == unix.AF_INET6 {
				address = netip.AddrFrom16([16]byte(body[8:24])).Unmap()
			}
			s := diagSocket{netip.AddrPortFrom(address, binary.BigEndian.Uint16(body[4:])), int(ne.Uint32(body[64:])), ne.Uint32(body[68:])}
			if err := take(s); err != nil {
				return true, err
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false, nil
}

// diagListeners returns the ports of the listening TCP sockets that are reachable over
// loopback, by inode. The kernel visits only these, while /proc/net/tcp lists every
// connection of the machine, including closed ones.
func diagListeners() (map[string]int, error) {
	found := map[string]int{}
	var none netip.AddrPort
	err := diagnose(func(s diagSocket) error {
		if a := s.local.Addr(); s.inode != 0 && (a.IsUnspecified() || a.IsLoopback()) {
			found[strconv.FormatUint(uint64(s.inode), 10)] = int(s.local.Port())
		}
		return nil
	}, diagRequest(unix.AF_INET, diagListen, none, none), diagRequest(unix.AF_INET6, diagListen, none, none))
	return found, err
}

// diagOwner returns the uid of the socket with these addresses.
func diagOwner(near, far netip.AddrPort) (uid int, err error) {
	s, err := diagOne(near, far)
	return s.uid, err
}

// diagOne returns the socket with these addresses.
func diagOne(near, far netip.AddrPort) (found diagSocket, err error) {
	family := byte(unix.AF_INET)
	if near.Addr().Is6() {
		family = unix.AF_INET6
	}
	err = diagnose(func(s diagSocket) error {
		if s.inode == 0 {
			return ErrGone // the kernel reports root's uid
		}
		found = s
		return nil
	}, diagRequest(family, diagAny, near, far))
	if err == nil && found.inode == 0 {
		err = errors.New("sock_diag: response without a socket")
	}
	return found, err
}
