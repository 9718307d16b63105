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

// Pointer is the path of the file that tells where the control socket is: cron,
// `su -`, ssh without a session and scrubbed environments have no
// XDG_RUNTIME_DIR to find it by.
func (p Paths) Pointer() string { return filepath.Join(p.Home, "hostless.socket") }

// Point leaves the control socket's path for programs of other environments.
func (p Paths) Point() error { return WritePrivate(p.Pointer(), []byte(p.Socket+"\n")) }

// LocateDaemon is Locate for those who look for a daemon rather than start one:
// where neither HOSTLESS_HOME nor HOSTLESS_SOCKET is set, the socket that a daemon
// or an installation has left word of wins, then the one in the user's runtime
// directory, if it is there and the user's own.
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

// RuntimeDir is the user's runtime directory: XDG_RUNTIME_DIR where it is the
// user's own (after `su` it is another's), else /run/user/UID where that is; ""
// where there is none.
func RuntimeDir(getenv func(string) string) string {
	if dir := getenv("XDG_RUNTIME_DIR"); ownDir(dir) {
		return dir
	}
	if dir := "/run/user/" + strconv.Itoa(os.Geteuid()); runtime.GOOS == "linux" && ownDir(dir) {
		return dir
	}
	return ""
}

// ownSocket reports whether path is a socket of this user's.
func ownSocket(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSocket != 0 && owned(info)
}

// ownDir reports whether path is a directory of this user's.
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
