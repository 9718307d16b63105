package procinfo

import (
	"bufio"
	"os"
	"strings"
)

// UnixListeners returns the paths of the Unix sockets on which the processes of a tree
// listen, without abstract sockets, which have no path.
func UnixListeners(tree []Process) (paths []string) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil
	}
	defer f.Close()
	listening := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if inode, path, ok := parseUnix(lines.Text()); ok {
			listening[inode] = path
		}
	}
	if len(listening) == 0 {
		return nil
	}
	for _, p := range tree {
		for _, inode := range socketInodes(p.PID) {
			if path, ok := listening[inode]; ok {
				paths = append(paths, path)
				delete(listening, inode)
			}
		}
	}
	return paths
}

// parseUnix parses a line of /proc/net/unix (unix(7), proc_net(5)): num, references,
// protocol, flags, type, state, inode, path. The flag __SO_ACCEPTCON marks a listening
// socket.
func parseUnix(line string) (inode, path string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[3] != "00010000" || fields[4] != "0001" {
		return "", "", false
	}
	path = line[strings.LastIndex(line, " "+fields[6]+" ")+len(fields[6])+2:]
	return fields[6], path, !strings.HasPrefix(path, "@")
}
