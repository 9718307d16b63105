//go:build unix

package hosts

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives the new file the owner of the old one if they differ.
func keepOwner(f *os.File, info fs.FileInfo) error {
	old, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (int(old.Uid) == os.Geteuid() && int(old.Gid) == os.Getegid()) {
		return nil
	}
	return f.Chown(int(old.Uid), int(old.Gid))
}
