package procinfo

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Program is the executable of a process, or its short name where the path is
// hidden from us, or "" where it has ended.
func Program(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if path, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		return strings.TrimSuffix(path, " (deleted)")
	}
	name, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSpace(string(name))
}
