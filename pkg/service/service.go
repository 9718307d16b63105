// Package service installs Hostless as a login service and controls it there.
//
// It owns what stands between the client and the platform's service manager:
// the units' values, installing and removing them, starting and stopping in the
// right order. The units' text is package init's, the daemon's behaviour under a
// manager (readiness, sockets, watchdog) package daemon's. The manager is systemd's
// of the user on Linux, and launchd on macOS.
package service

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	kardianos "github.com/kardianos/service"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// Name is the service's name; its units start with it. A second home's service
// beside it has a suffix of that home's own.
const Name = "hostlessd"

// Config configures a Manager.
type Config struct {
	Paths   config.Paths        // required: the home and control socket of the service
	Program string              // required to install: hostlessd's absolute path
	Port    int                 // the TCP port; 0 is config.DefaultPort
	Getenv  func(string) string // nil: os.Getenv
	Run     Runner              // nil: runs the command

	PackageUnits string // the directory of units that a package installed; "": /usr/lib/systemd/user
}

// Runner runs one command and gives its output; a failure's error holds what the
// command printed.
type Runner func(ctx context.Context, name string, args ...string) (string, error)

// Manager installs and controls the service of the current user. Its methods
// are safe for concurrent use only as far as the service manager is.
type Manager struct {
	cfg  Config
	name string // what the units of this home start with

	other backend // does the work where the manager is not systemd

	webPorts []int // what an installation under way opens beside the port
}

// New makes a Manager. Where the platform has no manager that is supported, or
// this user's cannot be reached, it is an error that wraps
// ErrNoManager and says what to do instead.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Run == nil {
		cfg.Run = runIn(cfg.Getenv)
	}
	if cfg.Port == 0 {
		cfg.Port = config.DefaultPort
	}
	if cfg.PackageUnits == "" {
		cfg.PackageUnits = packageUnits
	}
	m := &Manager{cfg: cfg}
	if system := kardianos.ChosenSystem(); system != nil && system.String() == "darwin-launchd" {
		l, err := newLaunchd(ctx, m, os.Getuid())
		if err != nil {
			return nil, err
		}
		m.other = l
		return m, nil
	}
	if err := m.reachable(ctx); err != nil {
		return nil, err
	}
	m.name = m.pickName()
	return m, nil
}

// ErrNoManager is in the chain of New's error where there is no service manager.
var ErrNoManager = errors.New("no service manager")

func (m *Manager) reachable(ctx context.Context) error {
	none := func(message string, cause error) error {
		return &fault.Error{Kind: fault.Internal, Message: message, Next: "hostless proxy start", Err: errors.Join(ErrNoManager, cause)}
	}
	if runtime.GOOS != "linux" {
		return none("a login service needs systemd or launchd", nil)
	}
	if system := kardianos.ChosenSystem(); system == nil || system.String() != "linux-systemd" {
		return none("this system does not run systemd", nil)
	}
	if _, err := m.systemctl(ctx, "show-environment"); err != nil {
		return none("the systemd manager of this user cannot be reached", err)
	}
	return nil
}

// systemctl runs `systemctl --user`.
func (m *Manager) systemctl(ctx context.Context, args ...string) (string, error) {
	return m.cfg.Run(ctx, "systemctl", append([]string{"--user", "--no-pager"}, args...)...)
}

// runIn is the Runner of real life.
func runIn(getenv func(string) string) Runner {
	return func(ctx context.Context, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		if dir := getenv("XDG_RUNTIME_DIR"); dir != "" { // by which systemctl finds the manager
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
		}
		return run(cmd)
	}
}

func run(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, &commandError{strings.Join(cmd.Args, " "), text, err}
	}
	return text, nil
}

// commandError is a command that failed, with what it printed.
type commandError struct {
	command, output string
	err             error
}

func (e *commandError) Error() string {
	if e.output == "" {
		return e.command + ": " + e.err.Error()
	}
	return e.command + ": " + e.output
}

func (e *commandError) Unwrap() error { return e.err }

// unitDir is where the units go: kardianos/service writes its own there.
func (m *Manager) unitDir() string {
	return filepath.Join(m.cfg.Getenv("HOME"), ".config", "systemd", "user")
}

// hasIPv6 reports whether [::1] can be bound on this machine.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
