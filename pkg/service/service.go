// Package service installs Hostless as a login service and controls it.
//
// It owns the interface to the platform's service manager: the units' values,
// installation and removal, and starting and stopping in the right order. Package init
// owns the units' text; package daemon owns the daemon's behavior under a service manager
// (readiness, sockets, watchdog). The service manager is the user's systemd on Linux and
// launchd on macOS.
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

// Name is the service's name and the beginning of its units' names. The service for a
// second home has a suffix made from that home.
const Name = "hostlessd"

// Config configures a Manager.
type Config struct {
	Paths   config.Paths        // the home and the control socket; required
	Program string              // absolute path of hostlessd; required for Install
	Port    int                 // the TCP port; 0 means config.DefaultPort
	Getenv  func(string) string // nil: os.Getenv
	Run     Runner              // nil: runs the command with os/exec

	PackageUnits string // directory of units installed by a package; "" means /usr/lib/systemd/user
}

// Runner runs a command and returns its output. The error of a failed command contains
// its output.
type Runner func(ctx context.Context, name string, args ...string) (string, error)

// Manager installs and controls the current user's service. Its methods are as safe for
// concurrent use as the service manager is.
type Manager struct {
	cfg  Config
	name string // beginning of the units' names for this home

	other backend // used instead of systemd if not nil

	webPorts []int // additional ports that Install opens
}

// New returns a Manager. If the platform has no supported service manager, or the user's
// cannot be reached, the error wraps ErrNoManager and says what to do instead.
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

// ErrNoManager is wrapped by New's error if there is no service manager.
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

// runIn returns the default Runner.
func runIn(getenv func(string) string) Runner {
	return func(ctx context.Context, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		if dir := getenv("XDG_RUNTIME_DIR"); dir != "" { // needed by systemctl to find the manager
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

// commandError is the error of a failed command with its output.
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

// unitDir is the directory of the user's units, to which kardianos/service writes too.
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
