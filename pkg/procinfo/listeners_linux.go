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

// States of the kernel's TCP, as /proc/net/tcp writes them (tcp_states.h).
const (
	stateTimeWait  = "06"
	stateCloseWait = "08"
	stateListen    = "0A"
)

// openSockets finds all listening TCP sockets of this network namespace that
// loopback reaches, by inode. It is cheap: the tree is looked at only when a
// new inode shows up.
func openSockets() map[string]int {
	if found, err := diagListeners(); err == nil {
		return found
	}
	return procListeners() // a sandbox without netlink, a kernel without the module
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

// parseSocket reads one line of /proc/net/tcp or tcp6 (proc_net_tcp.rst).
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

// reachable reports whether loopback leads to the address: itself, or any. The
// kernel writes each 32-bit word in the host's order, little-endian on the
// platforms built for.
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

// Listeners finds what the processes of a tree listen on.
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

// socketInodes lists a process's sockets by the links in /proc/PID/fd. Another
// user's process has none that we may see.
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

// ListenMark changes whenever a listening socket came or went.
func ListenMark() string {
	sockets := openSockets()
	sum := uint64(len(sockets))
	for inode := range sockets {
		n, _ := strconv.ParseUint(inode, 10, 64)
		sum += n * 0x9E3779B97F4A7C15 // a sum: the map's order does not matter
	}
	return strconv.FormatUint(sum, 16)
}

// Connected reports whether a connection to a local port is open; with recently,
// also whether one was until a minute ago: a server that closes first leaves it
// in TIME_WAIT. One whose client has gone and that the server forgot
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
				if fields[9] != "0" { // some process holds it
					return true
				}
			}
		}
	}
	return false
}
