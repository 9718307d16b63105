package listen

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// launchdSockets takes the sockets that launchd holds for this process
// (launch_activate_socket(3), Sockets in launchd.plist(5)). There are none if launchd did
// not start it. Each name can be taken only once per process.
func launchdSockets() ([]*os.File, error) { return collect(activate) }

// activate takes the descriptors of one name. launch_activate_socket allocates the
// returned array.
func activate(name string) ([]int, error) {
	cname, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	var array unsafe.Pointer
	var count uint
	// It returns an errno and does not set one, so the errno of syscall_syscall is
	// ignored.
	result, _, _ := syscall_syscall(launchActivateSocketAddr, uintptr(unsafe.Pointer(cname)), uintptr(unsafe.Pointer(&array)), uintptr(unsafe.Pointer(&count)))
	if errno := syscall.Errno(uint32(result)); errno != 0 {
		return nil, fmt.Errorf("launch_activate_socket: %w", errno)
	}
	var fds []int
	for _, fd := range unsafe.Slice((*int32)(array), count) {
		fds = append(fds, int(fd))
	}
	syscall_syscall(freeAddr, uintptr(array), 0, 0)
	return fds, nil
}

// Without cgo, functions of libSystem are called as in golang.org/x/sys/unix: the linker
// imports the function, a jump in assembly provides its address, and the standard
// library's syscall.syscall calls it on a stack suitable for C.

//go:cgo_import_dynamic libc_launch_activate_socket launch_activate_socket "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_free free "/usr/lib/libSystem.B.dylib"

// Set in launchd_darwin.s.
var launchActivateSocketAddr, freeAddr uintptr

//go:linkname syscall_syscall syscall.syscall
func syscall_syscall(fn, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno)
