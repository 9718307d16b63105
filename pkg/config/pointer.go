package config

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Pointer is the path of the file that contains the path of the control socket. Without
// XDG_RUNTIME_DIR, as under cron, `su -`, ssh without a session and in scrubbed
// environments, clients find the socket through it.
func (p Paths) Pointer() string { return filepath.Join(p.Home, "hostless.socket") }

// Point writes the path of the control socket to Pointer.
func (p Paths) Point() error { return WritePrivate(p.Pointer(), []byte(p.Socket+"\n")) }

// LocateDaemon is Locate for programs that look for a running daemon. Without
// HOSTLESS_HOME and HOSTLESS_SOCKET, it prefers the socket named in Pointer, then one in
// the user's runtime directory, if it exists and belongs to the user.
func LocateDaemon(getenv func(string) string) (Paths, error) {
	p, err := Locate(getenv)
	if err != nil || runtime.GOOS != "linux" || getenv("HOSTLESS_SOCKET") != "" || getenv("HOSTLESS_HOME") != "" {
		return p, err
	}
	candidates := []string{p.Socket}
	if data, _, err := ReadPrivate(p.Pointer()); err == nil {
		candidates = append([]string{strings.TrimSpace(string(data))}, candidates...)
	}
	if u, err := user.Current(); err == nil && filepath.Clean(u.HomeDir) == filepath.Dir(p.Home) {
		candidates = append(candidates, filepath.Join(RuntimeDir(getenv), "hostless", "control.sock"))
	}
	for _, path := range candidates {
		if ownSocket(path) && checkSocketLength(path) == nil {
			p.Socket = path
			break
		}
	}
	return p, nil
}

// RuntimeDir returns the user's runtime directory: XDG_RUNTIME_DIR if it belongs to the
// user (after `su` it does not), or else /run/user/UID if that exists, or else "".
func RuntimeDir(getenv func(string) string) string {
	if dir := getenv("XDG_RUNTIME_DIR"); ownDir(dir) {
		return dir
	}
	if dir := "/run/user/" + strconv.Itoa(os.Geteuid()); runtime.GOOS == "linux" && ownDir(dir) {
		return dir
	}
	return ""
}

// ownSocket reports whether path is a socket that belongs to this user.
func ownSocket(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSocket != 0 && owned(info)
}

// ownDir reports whether path is a directory that belongs to this user.
func ownDir(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && owned(info)
}

func owned(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
