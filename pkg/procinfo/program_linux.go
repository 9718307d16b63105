package procinfo

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Program returns the path of a process's executable, or its short name if the path is
// hidden, or "" if it has exited.
func Program(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if path, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		return strings.TrimSuffix(path, " (deleted)")
	}
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSpace(string(name))
}
