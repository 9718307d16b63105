package procinfo

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// TCP states as in /proc/net/tcp (tcp_states.h).
const (
	stateTimeWait  = "06"
	stateCloseWait = "08"
	stateListen    = "0A"
)

// openSockets returns the ports of all listening TCP sockets in this network namespace
// that are reachable over loopback, by inode. It is cheap. The process tree is only
// inspected when a new inode appears.
func openSockets() map[string]int {
	if found, err := diagListeners(); err == nil {
		return found
	}
	return procListeners() // a sandbox without netlink, or a kernel without the module
}

func procListeners() map[string]int {
	found := map[string]int{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if inode, port, ok := parseSocket(lines.Text()); ok {
				found[inode] = port
			}
		}
		f.Close()
	}
	return found
}

// parseSocket parses a line of /proc/net/tcp or tcp6 (proc_net_tcp.rst).
func parseSocket(line string) (inode string, port int, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != stateListen {
		return "", 0, false
	}
	address, portHex, found := strings.Cut(fields[1], ":")
	if !found || !reachable(address) {
		return "", 0, false
	}
	n, err := strconv.ParseUint(portHex, 16, 16)
	if err != nil || n == 0 || fields[9] == "0" {
		return "", 0, false
	}
	return fields[9], int(n), true
}

// reachable reports whether an address is reachable over loopback: a loopback address or
// the unspecified one. The kernel writes 32-bit words in the host's byte order, which is
// little-endian on the supported platforms.
func reachable(address string) bool {
	raw, err := hex.DecodeString(address)
	if err != nil || (len(raw) != 4 && len(raw) != 16) {
		return false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	ip, _ := netip.AddrFromSlice(raw)
	ip = ip.Unmap()
	return ip.IsUnspecified() || ip.IsLoopback()
}

// Listeners returns the ports on which the processes of a tree listen.
func Listeners(tree []Process) []Listener {
	sockets := openSockets()
	var found []Listener
	seen := map[int]bool{}
	for _, p := range tree {
		for _, inode := range socketInodes(p.PID) {
			if port, ok := sockets[inode]; ok && !seen[port] {
				seen[port] = true
				found = append(found, Listener{Port: port, PID: p.PID, Depth: p.Depth})
			}
		}
	}
	sortListeners(found)
	return found
}

// socketInodes returns the inodes of a process's sockets, from the links in /proc/PID/fd.
// For another user's process it returns none.
func socketInodes(pid int) []string {
	path := "/proc/" + strconv.Itoa(pid) + "/fd"
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var inodes []string
	for _, name := range names {
		link, err := os.Readlink(path + "/" + name)
		if err != nil {
			continue
		}
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	return inodes
}

// ListenMark returns a value that changes whenever a listening socket is opened or
// closed.
func ListenMark() string {
	sockets := openSockets()
	sum := uint64(len(sockets))
	for inode := range sockets {
		n, _ := strconv.ParseUint(inode, 10, 64)
		sum += n * 0x9E3779B97F4A7C15 // a sum does not depend on the map's order
	}
	return strconv.FormatUint(sum, 16)
}

// Connected reports whether a connection to a local port is open. With recently, it also
// counts connections that were closed within the last minute, if the server closed first
// (TIME_WAIT). A connection that the client has closed and the server has not
// (CLOSE_WAIT) does not count.
func Connected(port int, recently bool) bool {
	want := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || !strings.HasSuffix(fields[1], want) {
				continue
			}
			switch fields[3] {
			case stateListen, stateCloseWait:
			case stateTimeWait:
				if recently {
					return true
				}
			default:
				if fields[9] != "0" { // a process holds it
					return true
				}
			}
		}
	}
	return false
}
