//go:build unix

package launch

import (
	"os"
	"path/filepath"

	"github.com/hostless/hostless/pkg/config"
)

const (
	mostLog = 8 << 20 // a larger log is put aside when a run begins
)

// openLog opens a detached run's log for appending, a large one put aside.
func openLog(path string) (*os.File, error) {
	if err := config.EnsureDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > mostLog {
		_ = os.Rename(path, path+".1")
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
