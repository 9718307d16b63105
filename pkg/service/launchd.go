package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// Exit codes of launchctl.
const (
	launchctlIO        = 5   // EIO: bootstrap's code for almost every error
	launchctlNoService = 113 // print: launchd does not know the service
)

// How long an agent may take to stop after bootout: its ExitTimeOut and some more.
const (
	launchdEnd   = 25 * time.Second
	launchdProbe = 100 * time.Millisecond
)

// launchd installs and controls the agent in the user's graphical domain (launchctl(1),
// launchd.plist(5)). A loaded agent has its sockets open; a stopped agent is not loaded
// until the next login.
type launchd struct {
	*Manager
	domain string // gui/501
	label  string
}

// newLaunchd determines the user's domain. If there is none, as over ssh while nobody is
// logged in at the screen, the error wraps ErrNoManager.
func newLaunchd(ctx context.Context, m *Manager, uid int) (*launchd, error) {
	l := &launchd{Manager: m, domain: "gui/" + strconv.Itoa(uid)}
	if _, err := l.launchctl(ctx, "print-disabled", l.domain); err != nil {
		return nil, &fault.Error{
			Kind: fault.Internal, Message: "launchd has no session for you: an agent needs you to be logged in at the screen", Next: "hostless proxy start",
			Err: errors.Join(ErrNoManager, err),
		}
	}
	l.label = pickName(launchdLabel, m.cfg.Paths.Home, l.homeOf)
	return l, nil
}

func (l *launchd) unit() string { return l.label }

// target is the name of the service for launchctl.
func (l *launchd) target() string { return l.domain + "/" + l.label }

func (l *launchd) launchctl(ctx context.Context, args ...string) (string, error) {
	return l.cfg.Run(ctx, "launchctl", args...)
}

// exitCode returns the exit code of a failed command, -1 if it did not run.
func exitCode(err error) int {
	var e interface{ ExitCode() int }
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// job is launchd's information about the agent.
type job struct {
	loaded bool
	state  string // running, not running, …
	pid    int
}

func (l *launchd) job(ctx context.Context) (job, error) {
	out, err := l.launchctl(ctx, "print", l.target())
	if exitCode(err) == launchctlNoService {
		return job{}, nil
	}
	if err != nil {
		return job{}, err
	}
	j := job{loaded: true}
	for line := range strings.SplitSeq(out, "\n") {
		// The properties of the service itself are indented by one tab, others by more.
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "\t"), " = ")
		switch {
		case !ok || strings.HasPrefix(name, "\t"):
		case name == "state":
			j.state = value
		case name == "pid":
			j.pid, _ = strconv.Atoi(value)
		}
	}
	return j, nil
}

// disabled reports whether the agent is disabled in launchd.
func (l *launchd) disabled(ctx context.Context) bool {
	out, err := l.launchctl(ctx, "print-disabled", l.domain)
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(out, "\n") {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if ok && strings.Trim(name, `"`) == l.label {
			return value == "disabled" || value == "true" // the value before macOS 13
		}
	}
	return false
}

// Status implements backend. launchd's sockets are open while the agent is loaded.
func (l *launchd) Status(ctx context.Context) (Status, error) {
	s := Status{Manager: "launchd", Listen: []string{}, Units: []Unit{}}
	a := l.readAgent(l.label)
	if s.Home = a.home; s.Home != "" {
		s.Installed, s.Port, s.Program, s.Listen = true, a.port, a.program, a.listen()
	}
	j, err := l.job(ctx)
	if err != nil {
		return s, err
	}
	u := Unit{Name: l.label, Active: "inactive", Sub: "not loaded"}
	if j.loaded {
		u.Active, u.Sub = "active", j.state
	}
	if s.Installed {
		u.Enabled = "enabled"
		if l.disabled(ctx) {
			u.Enabled = "disabled"
		}
	}
	s.Units = append(s.Units, u)
	s.Listening, s.PID, s.Running = j.loaded, j.pid, j.pid != 0
	return s, nil
}

// Start loads the agent and starts the daemon.
func (l *launchd) Start(ctx context.Context) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	_, err := l.launchctl(ctx, "kickstart", l.target())
	return err
}

// ready loads the agent, which opens its sockets.
func (l *launchd) ready(ctx context.Context) error {
	a := l.readAgent(l.label)
	if a.home == "" {
		return &fault.Error{Kind: fault.NotFound, Message: "the service is not installed", Next: "hostless service install"}
	}
	j, err := l.job(ctx)
	if err != nil {
		return err
	}
	// Loading the agent creates a removed socket file again.
	if _, err := os.Lstat(a.control); j.loaded && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if j.loaded {
		if err := l.unload(ctx); err != nil {
			return err
		}
	} else if err := l.refuseByHand(ctx); err != nil {
		return err
	}
	return l.load(ctx)
}

// Stop unloads the agent: launchd closes its sockets and stops the daemon.
func (l *launchd) Stop(ctx context.Context) error {
	if l.homeOf(l.label) == "" {
		return &fault.Error{Kind: fault.NotFound, Message: "the service is not installed", Next: "hostless service install"}
	}
	return l.unload(ctx)
}

// Restart makes the daemon hand over to a successor. If it is not running, it is started.
func (l *launchd) Restart(ctx context.Context) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	return l.replaceJob(ctx)
}

func (l *launchd) replaceJob(ctx context.Context) error {
	j, err := l.job(ctx)
	if err != nil {
		return err
	}
	if j.pid == 0 {
		_, err := l.launchctl(ctx, "kickstart", l.target())
		return err
	}
	client := control.NewClient(l.cfg.Paths.Socket)
	defer client.CloseIdle()
	_, err = client.Restart(ctx)
	if err == nil || !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Method) && !fault.Is(err, fault.Unreachable) {
		return err
	}
	_, err = l.launchctl(ctx, "kickstart", "-k", l.target())
	return err
}

// load makes launchd load the agent and open its sockets.
func (l *launchd) load(ctx context.Context) error {
	// An agent that was disabled cannot be bootstrapped.
	if _, err := l.launchctl(ctx, "enable", l.target()); err != nil {
		return err
	}
	_, err := l.launchctl(ctx, "bootstrap", l.domain, l.path(l.label))
	if err == nil {
		return nil
	}
	if j, jobErr := l.job(ctx); jobErr == nil && j.loaded && exitCode(err) == launchctlIO {
		return nil // it was already loaded
	}
	if err := l.refusePort(l.readAgent(l.label).port); err != nil {
		return err
	}
	f := &fault.Error{Kind: fault.Internal, Message: "the service did not start: " + err.Error(), Next: "hostless service status", Err: err}
	if l.disabled(ctx) {
		f.Message = "the service did not start: hostlessd is switched off in Login Items"
		f.Next = "switch hostlessd on in System Settings > General > Login Items, then: hostless service start"
	} else if exitCode(err) == launchctlIO {
		f.Next = "check whether hostlessd is switched off in System Settings > General > Login Items, then: hostless service start"
	}
	return f
}

// unload makes launchd close the sockets and stop the daemon, and waits until both have
// happened.
func (l *launchd) unload(ctx context.Context) error {
	j, err := l.job(ctx)
	if err != nil || !j.loaded {
		return err
	}
	_, bootErr := l.launchctl(ctx, "bootout", l.target()) // fails if it is already in progress
	ctx, cancel := context.WithTimeout(ctx, launchdEnd)
	defer cancel()
	probe := time.NewTicker(launchdProbe)
	defer probe.Stop()
	for {
		if j, err = l.job(ctx); err == nil && !j.loaded {
			break
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("launchd did not stop %s: %w", l.label, ctx.Err()), bootErr, err)
		case <-probe.C:
		}
	}
	// launchd does not remove the socket's file.
	a := l.readAgent(l.label)
	if info, err := os.Lstat(a.control); err == nil && info.Mode()&fs.ModeSocket != 0 {
		os.Remove(a.control)
	}
	return nil
}

// remove unloads the agent and removes its file.
func (l *launchd) remove(ctx context.Context) ([]string, error) {
	path := l.path(l.label)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return []string{}, nil
	}
	if err := l.unload(ctx); err != nil {
		return []string{}, err
	}
	if err := os.Remove(path); err != nil {
		return []string{}, err
	}
	return []string{path}, nil
}

// Install writes the agent and loads it: from then on the sockets are open, and launchd
// starts the daemon.
func (l *launchd) Install(ctx context.Context, settings map[string]string) (out Installed, err error) {
	if err := l.refuseProgram(); err != nil {
		return Installed{}, err
	}
	j, err := l.job(ctx)
	if err != nil {
		return Installed{}, err
	}
	before := l.readAgent(l.label)
	if !j.loaded {
		if err := l.refuseByHand(ctx); err != nil {
			return Installed{}, err
		}
	}
	if !j.loaded || before.port != l.cfg.Port {
		if err := l.refusePort(l.cfg.Port); err != nil {
			return Installed{}, err
		}
	}
	for _, dir := range []string{l.cfg.Paths.Home, l.cfg.Paths.Logs(), filepath.Dir(l.cfg.Paths.Socket)} {
		if err := config.EnsureDir(dir); err != nil {
			return Installed{}, err
		}
	}
	path := l.path(l.label)
	out = Installed{Port: l.cfg.Port, Home: l.cfg.Paths.Home, Socket: l.cfg.Paths.Socket, Program: l.cfg.Program, Units: []string{path}}
	if err := l.cfg.Paths.Point(); err != nil {
		return out, err
	}
	restore, err := l.choose(settings, &out)
	if err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, restore())
		}
	}()
	text, err := l.render()
	if err != nil {
		return out, err
	}
	if before.text == text {
		if j.loaded {
			return out, l.replaceRunning(ctx, j)
		}
		out.Changed = true
		return out, l.load(ctx)
	}
	out.Changed = true
	if err := l.write(path, text); err != nil {
		return out, err
	}
	err = l.verify(ctx, path)
	if err == nil && j.loaded {
		err = l.unload(ctx)
	}
	if err == nil {
		err = l.load(ctx)
	}
	if err != nil {
		return out, errors.Join(err, l.putBack(ctx, path, before.text, j.loaded))
	}
	return out, nil
}

// replaceRunning restarts a running daemon, so that it runs the installed program.
func (l *launchd) replaceRunning(ctx context.Context, j job) error {
	if j.pid == 0 {
		return nil
	}
	return l.replaceJob(ctx)
}

// putBack restores the agent after a failed installation.
func (l *launchd) putBack(ctx context.Context, path, before string, loaded bool) error {
	if err := l.unload(ctx); err != nil {
		return err
	}
	if before == "" {
		return os.Remove(path)
	}
	if err := l.write(path, before); err != nil || !loaded {
		return err
	}
	return l.load(ctx)
}

// verify checks the agent with macOS's own parser, if it is installed.
func (l *launchd) verify(ctx context.Context, path string) error {
	if _, err := os.Stat(plutil); err != nil {
		return nil
	}
	if _, err := l.cfg.Run(ctx, plutil, "-lint", "-s", path); err != nil {
		return fmt.Errorf("macOS rejects the agent: %w", err)
	}
	return nil
}

const plutil = "/usr/bin/plutil"
