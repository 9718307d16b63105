package config

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hostless/hostless/pkg/fault"
)

// RefuseForeign refuses to run the daemon for another user: if root ran it for somebody
// (sudo), it would leave files in that user's home that the user cannot read, and run
// that user's apps as root. Root may run its own daemon, as in a container. It must be
// called before anything is created in the home.
func RefuseForeign(home string, uid int, getenv func(string) string) error {
	if uid == 0 {
		for _, name := range []string{"SUDO_USER", "DOAS_USER"} {
			if user := getenv(name); user != "" && user != "root" {
				return refused(fmt.Sprintf("hostlessd does not run as root for %s", user), "run it without sudo")
			}
		}
		if dir := getenv("HOME"); dir != "" {
			if owner, ok := userOf(dir); ok && owner != 0 {
				return refused(fmt.Sprintf("hostlessd does not run as root for the owner of %s (uid %d)", dir, owner), "run it as that user")
			}
		}
	}
	// The first existing directory in the path determines who will own the home.
	for dir := home; ; dir = filepath.Dir(dir) {
		owner, ok := userOf(dir)
		switch {
		case ok && owner != uid && (owner != 0 || dir == home):
			return refused(fmt.Sprintf("%s belongs to uid %d, the daemon is uid %d", dir, owner, uid), "set HOSTLESS_HOME to a directory of your own, or run it as its owner")
		case ok || dir == filepath.Dir(dir):
			return nil
		}
	}
}

func refused(message, next string) error {
	return &fault.Error{Kind: fault.Forbidden, Message: message, Next: next}
}

func userOf(path string) (int, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
