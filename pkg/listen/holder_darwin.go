package listen

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Holder describes the process that listens on a port, as in "node (process 4711)", or
// returns "" if it is not visible. It uses lsof, which is part of macOS.
func Holder(port int) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, "/usr/sbin/lsof", "-nP", fmt.Sprintf("-iTCP:%d", port), "-sTCP:LISTEN", "-Fpc").Output()
	pid, name := "", ""
	for line := range strings.Lines(string(out)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "p") && pid == "":
			pid = line[1:]
		case strings.HasPrefix(line, "c") && name == "":
			name = line[1:]
		}
	}
	if pid == "" {
		return ""
	}
	return fmt.Sprintf("%s (process %s)", name, pid)
}
