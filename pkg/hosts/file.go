package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/hostless/hostless/pkg/fault"
)

// File is a hosts file on disk. It has no state besides its path.
type File struct{ Path string }

// Locate returns the hosts file to use: path if it is not empty, or else
// HOSTLESS_HOSTS_FILE, HOSTLESS_HOSTS_PATH, or the system's.
func Locate(path string, getenv func(string) string) File {
	if path == "" {
		path = getenv("HOSTLESS_HOSTS_FILE")
	}
	if path == "" {
		path = getenv("HOSTLESS_HOSTS_PATH") // its name before 1.0
	}
	if path == "" {
		path = "/etc/hosts"
		if runtime.GOOS == "windows" {
			path = filepath.Join(getenv("SystemRoot"), "System32", "drivers", "etc", "hosts")
		}
	}
	return File{Path: path}
}

// Status compares the block with the names that it should contain.
type Status struct {
	Path    string   `json:"path"`
	Names   []string `json:"names"`   // in the block
	Missing []string `json:"missing"` // wanted, not in the block
	Stale   []string `json:"stale"`   // in the block, not wanted
	Synced  bool     `json:"synced"`  // sync would change nothing
}

// Status reads the file and compares its block with the wanted names.
func (f File) Status(want []string) (Status, error) {
	content, _, err := f.read()
	if err != nil {
		return Status{}, err
	}
	s := Status{Path: f.Path, Names: Names(content), Missing: []string{}, Stale: []string{}}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(want))) {
		if !slices.Contains(s.Names, name) {
			s.Missing = append(s.Missing, name)
		}
	}
	for _, name := range s.Names {
		if !slices.Contains(want, name) {
			s.Stale = append(s.Stale, name)
		}
	}
	synced, err := Edit(content, want)
	s.Synced = err == nil && bytes.Equal(synced, content)
	return s, nil
}

// Sync makes the block contain exactly these names and reports whether the file changed.
// It never writes a file that it could not read.
func (f File) Sync(names []string) (changed bool, err error) {
	content, info, err := f.read()
	if err != nil {
		return false, err
	}
	next, err := Edit(content, names)
	if err != nil {
		return false, fault.New(fault.Invalid, err.Error())
	}
	if bytes.Equal(content, next) {
		return false, nil
	}
	return true, f.write(next, info)
}

func (f File) read() ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, nil, f.explain("read", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fault.New(fault.Invalid, f.Path+" is not a regular file")
	}
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, nil, f.explain("read", err)
	}
	return content, info, nil
}

// write replaces the file by a rename, keeping its mode and owner. A file that is a mount
// point, as /etc/hosts in containers, cannot be replaced by a rename and is rewritten in
// place.
func (f File) write(content []byte, info fs.FileInfo) error {
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return f.explain("write", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".hosts.hostless-*")
	if errors.Is(err, fs.ErrPermission) {
		return f.rewrite(path, content) // we may have permission to write the file, but not the directory
	}
	if err != nil {
		return f.explain("write", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := tmp.Write(content); err != nil {
		return f.explain("write", err)
	}
	if err := tmp.Chmod(info.Mode().Perm()); err != nil {
		return f.explain("write", err)
	}
	if err := keepOwner(tmp, info); err != nil {
		return f.explain("write", err)
	}
	if err := tmp.Sync(); err != nil {
		return f.explain("write", err)
	}
	err = os.Rename(tmp.Name(), path)
	if errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) {
		return f.rewrite(path, content)
	}
	if err != nil {
		return f.explain("write", err)
	}
	return nil
}

func (f File) rewrite(path string, content []byte) error {
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return f.explain("write", err)
	}
	defer out.Close()
	if _, err := out.Write(content); err != nil {
		return f.explain("write", err)
	}
	if err := out.Truncate(int64(len(content))); err != nil {
		return f.explain("write", err)
	}
	return f.explain("write", out.Sync())
}

func (f File) explain(verb string, err error) error {
	if err == nil {
		return nil
	}
	e := &fault.Error{Kind: fault.Internal, Message: fmt.Sprintf("cannot %s %s: %v", verb, f.Path, reason(err))}
	if errors.Is(err, fs.ErrPermission) {
		e.Kind = fault.Forbidden
	}
	return e
}

// reason strips the operation and the path from an error.
func reason(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
