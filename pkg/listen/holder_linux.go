package listen

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder describes the process that listens on a loopback port, as in "node (process
// 4711)". The descriptors of another user's process are not visible, so it names only the
// user. It returns "" if nothing listens. A socket of systemd belongs to the service
// manager.
func Holder(port int) string {
	inodes := map[string]bool{}
	owner := ""
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+fields[9]+"]"] = true
				owner = fields[7]
			}
		}
		f.Close()
	}
	if len(inodes) == 0 {
		return ""
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range descriptors {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		process := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), filepath.Base(process))
	}
	if owner == strconv.Itoa(os.Geteuid()) {
		return ""
	}
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	return "a program of user " + owner
}
