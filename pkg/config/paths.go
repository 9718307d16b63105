// Package config owns the locations of Hostless's files, the settings in config.json, and
// the way private files are written: completely, synced, renamed into place, and readable
// only by their owner.
//
// The contents of the other files belong to the packages that own them (keys, token,
// apps, certs).
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/hostless/hostless/pkg/fault"
)

// DefaultPort is the daemon's default TCP port.
const DefaultPort = 48282

// Paths are the locations of an installation. All are absolute.
type Paths struct {
	Home   string // the state directory, 0700
	Socket string // the control socket
}

// Locate determines the paths with a lookup function such as os.Getenv. It creates
// nothing. HOSTLESS_HOME (or its earlier name HOSTLESS_CONFIG_DIR) and HOSTLESS_SOCKET
// take precedence. A relative path, or a socket path that is too long for the platform,
// is an error that names it. A home that is a symbolic link is resolved, because clients
// refuse a socket whose path contains a link.
func Locate(getenv func(string) string) (Paths, error) {
	home := getenv("HOSTLESS_HOME")
	if home == "" {
		home = getenv("HOSTLESS_CONFIG_DIR") // its name before 1.0
	}
	own := home != ""
	if !own {
		user := getenv("HOME")
		if user == "" {
			return Paths{}, &fault.Error{Kind: fault.Usage, Message: "neither HOSTLESS_HOME nor HOME is set", Next: "export HOSTLESS_HOME=/absolute/path"}
		}
		home = filepath.Join(user, ".hostless")
	}
	if !filepath.IsAbs(home) {
		name := "HOSTLESS_HOME"
		if !own {
			name, home = "HOME", filepath.Dir(home)
		}
		return Paths{}, &fault.Error{
			Kind: fault.Usage, Message: fmt.Sprintf("%s must be an absolute path, not %q", name, home), Next: "export HOSTLESS_HOME=/absolute/path",
		}
	}
	home = filepath.Clean(home)
	if info, err := os.Lstat(home); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if real, err := filepath.EvalSymlinks(home); err == nil {
			home = real
		}
	}
	socket := getenv("HOSTLESS_SOCKET")
	switch runtimeDir := getenv("XDG_RUNTIME_DIR"); {
	case socket != "":
		if !filepath.IsAbs(socket) {
			return Paths{}, &fault.Error{
				Kind: fault.Usage, Message: fmt.Sprintf("HOSTLESS_SOCKET must be an absolute path, not %q", socket), Next: "export HOSTLESS_SOCKET=/absolute/path",
			}
		}
	case own:
		socket = filepath.Join(home, "control.sock")
	case runtime.GOOS == "linux" && ownDir(runtimeDir): // after `su` it belongs to another user
		socket = filepath.Join(runtimeDir, "hostless", "control.sock")
	default:
		socket = filepath.Join(home, "control.sock")
	}
	if err := checkSocketLength(socket); err != nil {
		return Paths{}, err
	}
	return Paths{Home: home, Socket: socket}, nil
}

// ErrSocketPath is wrapped by Locate's error if the path of the control socket is too
// long.
var ErrSocketPath = errors.New("socket path too long")

// checkSocketLength returns an error if path does not fit into sockaddr_un (unix(7): 108
// bytes with the terminating zero on Linux, 104 on macOS).
func checkSocketLength(path string) error {
	limit := 103
	if runtime.GOOS == "linux" {
		limit = 107
	}
	if len(path) > limit {
		return &fault.Error{
			Kind:    fault.Usage,
			Message: fmt.Sprintf("control socket path is too long: %d bytes, %d are allowed: %s", len(path), limit, path),
			Next:    "export HOSTLESS_SOCKET=/a/shorter/path",
			Err:     ErrSocketPath,
		}
	}
	return nil
}

// Config is the path of config.json.
func (p Paths) Config() string { return filepath.Join(p.Home, "config.json") }

// Keys is the path of keys.env.
func (p Paths) Keys() string { return filepath.Join(p.Home, "keys.env") }

// Vault is the path of vault.json.
func (p Paths) Vault() string { return filepath.Join(p.Home, "vault.json") }

// Audit is the path of audit.jsonl.
func (p Paths) Audit() string { return filepath.Join(p.Home, "audit.jsonl") }

// Requests is the directory of the request log's segments.
func (p Paths) Requests() string { return filepath.Join(p.Home, "requests") }

// AppRequests is the directory of the log segments for requests to apps.
func (p Paths) AppRequests() string { return filepath.Join(p.Requests(), "apps") }

// Budgets is the path of budgets.json.
func (p Paths) Budgets() string { return filepath.Join(p.Home, "budgets.json") }

// Killed is the path of the file that exists while all AI traffic is stopped.
func (p Paths) Killed() string { return filepath.Join(p.Home, "killed") }

// MetricsToken is the path of the token that the metrics port requires.
func (p Paths) MetricsToken() string { return filepath.Join(p.Home, "metrics.token") }

// Bodies is the directory of the bodies stored with the request log.
func (p Paths) Bodies() string { return filepath.Join(p.Requests(), "bodies") }

// Prices is the path of prices.json.
func (p Paths) Prices() string { return filepath.Join(p.Home, "prices.json") }

// Tokens is the path of tokens.json.
func (p Paths) Tokens() string { return filepath.Join(p.Home, "tokens.json") }

// Routes is the path of routes.json.
func (p Paths) Routes() string { return filepath.Join(p.Home, "routes.json") }

// Approvals is the path of approvals.json.
func (p Paths) Approvals() string { return filepath.Join(p.Home, "approvals.json") }

// Logins is the path of logins.json.
func (p Paths) Logins() string { return filepath.Join(p.Home, "logins.json") }

// Port is the path of the file with the daemon's TCP port.
func (p Paths) Port() string { return filepath.Join(p.Home, "hostless.port") }

// PID is the path of the file with the daemon's process id.
func (p Paths) PID() string { return filepath.Join(p.Home, "hostless.pid") }

// Lock is the path of the lock file that allows only one daemon.
func (p Paths) Lock() string { return filepath.Join(p.Home, "hostless.lock") }

// Logs is the directory of log files on systems without a journal.
func (p Paths) Logs() string { return filepath.Join(p.Home, "logs") }

// AppLog is the path of the output of a detached run.
func (p Paths) AppLog(name string) string { return filepath.Join(p.Logs(), "apps", name+".log") }
