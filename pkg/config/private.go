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

// EnsureDir creates a private directory and its parents, and removes the permissions of
// group and others from an existing one that belongs to us. A directory that is shared on
// purpose, such as /tmp, is an error.
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
			return &fault.Error{Kind: fault.Usage, Message: fmt.Sprintf("%s is shared with other users and cannot contain private files", path), Next: "set HOSTLESS_HOME to a directory of your own"}
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("close directory to others: %w", err)
		}
	}
	return nil
}

// WritePrivate atomically replaces the file at path with data, with mode 0600: it writes
// a temporary file in the same directory, syncs it, renames it, and syncs the directory.
// At any moment, even after a crash, the file has either the old or the new content.
// Concurrent writers are safe; the last one wins. If the disk is the reason for an error,
// its public message says so.
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
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*") // CreateTemp uses mode 0600
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

// syncDir makes a rename durable. File systems that cannot sync a directory are ignored.
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

// ReadPrivate reads the file at path. If group or others have permissions, it removes
// them and reports that in opened. For a missing file the error is fs.ErrNotExist.
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

// aside returns the path at which an unusable or partly unusable file is kept.
func aside(path string, now time.Time) string {
	return path + ".corrupt-" + now.UTC().Format("20060102T150405.000000000Z")
}

// CopyAside copies a partly usable file to `<path>.corrupt-<time>` before it is
// rewritten, and returns the new path.
func CopyAside(path string, now time.Time) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("keep a copy of %s: %w", path, err)
	}
	kept := aside(path, now)
	return kept, WritePrivate(kept, data)
}

// KeepAside renames an unusable file to `<path>.corrupt-<time>`, so that nothing in it is
// lost, and returns the new path.
func KeepAside(path string, now time.Time) (string, error) {
	kept := aside(path, now)
	if err := os.Rename(path, kept); err != nil {
		return "", fmt.Errorf("keep unreadable file aside: %w", err)
	}
	os.Chmod(kept, 0o600)
	return kept, nil
}

// staleAfter is the age at which a temporary file is considered abandoned.
const staleAfter = time.Minute

// Sweep removes the temporary files of WritePrivate that killed processes left in a
// directory and that are older than staleAfter. They may contain secrets.
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
