package procinfo

import (
	"bytes"
	"context"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Listeners returns the ports on which the processes of a tree listen. It uses lsof,
// which is part of macOS.
func Listeners(tree []Process) []Listener {
	if len(tree) == 0 {
		return nil
	}
	depth := make(map[int]int, len(tree))
	pids := make([]string, len(tree))
	for i, p := range tree {
		depth[p.PID] = p.Depth
		pids[i] = strconv.Itoa(p.PID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// lsof exits with 1 if one of the processes has no socket, but its output is valid.
	out, _ := exec.CommandContext(ctx, "/usr/sbin/lsof", "-nP", "-a", "-iTCP", "-sTCP:LISTEN", "-p", strings.Join(pids, ","), "-Fpn").Output()
	var found []Listener
	seen := map[int]bool{}
	pid := 0
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if len(text) < 2 {
			continue
		}
		switch text[0] {
		case 'p':
			pid, _ = strconv.Atoi(text[1:])
		case 'n':
			if port := lsofPort(text[1:]); port != 0 && !seen[port] {
				seen[port] = true
				found = append(found, Listener{Port: port, PID: pid, Depth: depth[pid]})
			}
		}
	}
	sortListeners(found)
	return found
}

// lsofPort parses "*:3000", "127.0.0.1:3000" or "[::1]:3000". It returns 0 for an address
// that is not reachable over loopback.
func lsofPort(name string) int {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return 0
	}
	if host := strings.Trim(name[:i], "[]"); host != "*" {
		ip, err := netip.ParseAddr(host)
		if err != nil || !(ip.IsLoopback() || ip.IsUnspecified()) {
			return 0
		}
	}
	port, _ := strconv.Atoi(name[i+1:])
	return port
}

// ListenMark returns a new value each time, because macOS has no cheap way to notice a
// change.
func ListenMark() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

// Connected reports whether a connection to a local port is open. macOS does not show
// recently closed ones.
func Connected(port int, _ bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "/usr/sbin/lsof", "-nP", "-iTCP:"+strconv.Itoa(port), "-sTCP:ESTABLISHED", "-t").Output()
	return len(bytes.TrimSpace(out)) > 0
}
