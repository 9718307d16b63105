//go:build unix

package launch

import (
	"os"
	"path/filepath"

	"github.com/hostless/hostless/pkg/config"
)

const (
	maxLog = 8 << 20 // bytes; a larger log is rotated when a run starts
)

// openLog opens the log of a detached run for appending, and rotates a large one.
func openLog(path string) (*os.File, error) {
	if err := config.EnsureDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		_ = os.Rename(path, path+".1")
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
