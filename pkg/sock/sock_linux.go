package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direct: the calls below never block (MSG_DONTWAIT), so the scheduler need not be
// notified.
const direct = true

func (t *transfer) receive(fd uintptr) bool {
	for {
		n, _, errn := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&t.p[0])), uintptr(len(t.p)), unix.MSG_DONTWAIT, 0, 0)
		switch errn {
		case 0:
			t.n = int(n)
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.errn = errn
			return true
		}
	}
}

func (t *transfer) send(fd uintptr) bool {
	for t.n < len(t.p) {
		rest := t.p[t.n:]
		n, _, errn := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&rest[0])), uintptr(len(rest)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch errn {
		case 0:
			t.n += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.errn = errn
			return true
		}
	}
	return true
}

// peek reads one byte without consuming it.
func peek(fd uintptr) (n int, errn syscall.Errno) {
	var b [1]byte
	for {
		n, _, errn := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		if errn != syscall.EINTR {
			return int(n), errn
		}
	}
}
