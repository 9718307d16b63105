package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// EnsureDir makes a private directory and its parents, and closes an existing
// one of ours to group and others. One that is shared on purpose, as /tmp is, is
// an error.
func EnsureDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if info.Mode()&fs.ModeSticky != 0 {
			return &fault.Error{Kind: fault.Usage, Message: fmt.Sprintf("%s is shared with other users and cannot hold private files", path), Next: "set HOSTLESS_HOME to a directory of your own"}
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("close directory to others: %w", err)
		}
	}
	return nil
}

// WritePrivate replaces the file at path with data, mode 0600: written beside
// it, synced, renamed over it, the directory synced. At every moment, a crash
// included, the path holds either the old content or the new. A reader never
// sees part of either. Concurrent writers each leave a whole file. The error says
// in public why nothing was changed, where that is the disk's doing.
func WritePrivate(path string, data []byte) error {
	err := writePrivate(path, data)
	var why syscall.Errno
	if err != nil && errors.As(err, &why) {
		return &fault.Error{Kind: fault.Internal, Message: fmt.Sprintf("%s cannot be written: %s; nothing was changed", path, why.Error()), Err: err}
	}
	return err
}

func writePrivate(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*") // 0600 by its contract
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	tmp := f.Name()
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename durable. File systems that cannot sync a directory
// are left to their own order.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// ReadPrivate reads the file at path and closes it to group and others where
// it was open to them; opened reports that it was. A missing file is
// fs.ErrNotExist.
func ReadPrivate(path string) (data []byte, opened bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		opened = true
		if err := f.Chmod(0o600); err != nil {
			return nil, true, fmt.Errorf("close %s to others: %w", path, err)
		}
	}
	data, err = os.ReadFile(path)
	return data, opened, err
}

// aside is where a file that cannot be used, or not wholly, is kept.
func aside(path string, now time.Time) string {
	return path + ".corrupt-" + now.UTC().Format("20060102T150405.000000000Z")
}

// CopyAside copies a file that can be used in parts to `<path>.corrupt-<time>`
// before it is rewritten, and returns the new path.
func CopyAside(path string, now time.Time) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("keep a copy of %s: %w", path, err)
	}
	kept := aside(path, now)
	return kept, WritePrivate(kept, data)
}

// KeepAside renames a file that cannot be used to `<path>.corrupt-<time>`, so
// that nothing in it is lost, and returns the new path.
func KeepAside(path string, now time.Time) (string, error) {
	kept := aside(path, now)
	if err := os.Rename(path, kept); err != nil {
		return "", fmt.Errorf("keep unreadable file aside: %w", err)
	}
	os.Chmod(kept, 0o600)
	return kept, nil
}

// staleAfter is how old the leavings of a write must be to be nobody's any more.
const staleAfter = time.Minute

// Sweep removes from a directory what writers that were killed have left
// behind: WritePrivate's own files, a minute old or older. They may hold secrets.
func Sweep(dir string, now time.Time) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*.tmp-*"))
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	for _, path := range left {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < staleAfter {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}
