// Package listen owns the origin of the daemon's sockets: passed by systemd or launchd
// and identified by their names, inherited from a predecessor, or bound by the daemon
// itself under a lock.
//
// The ways are never mixed: a daemon that was given descriptors uses only those. Other
// packages serve the sockets.
package listen

import (
	"errors"
	"log/slog"
	"net"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// Names of the sockets, as in FileDescriptorName of the socket units.
const (
	NameHTTP    = "http"
	NameControl = "control"
	NameWeb     = "web" // ports 80 and 443, which URLs omit
)

// Origins of the sockets, as GET /status names them.
const (
	Systemd = "systemd"
	Launchd = "launchd"
	Self    = "self"
)

// Config says what to listen on if no sockets were passed.
type Config struct {
	Port   int          // TCP port; 0 chooses one that is free in both address families
	Socket string       // path of the control socket; required
	Logger *slog.Logger // discards when nil

	// Inherited is what a predecessor passed on (see Inherit); nil means nothing.
	Inherited *Inheritance
}

// Sockets are the daemon's listeners.
type Sockets struct {
	HTTP       []net.Listener // one or two, loopback only
	Control    net.Listener
	Web        []net.Listener // ports 80 and 443 if they were passed; served like HTTP
	Port       int            // port of HTTP
	Activation string         // Systemd, Launchd or Self

	lock *Lock
}

// Open takes the sockets of a predecessor or a supervisor or, if there are none, binds
// its own. It reads and clears LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES
// (sd_listen_fds(3)), and launchd gives each socket only once, so it must be called once
// per process, before any child process is started. An error that the user can fix is a
// fault.Error with the next step.
func Open(cfg Config) (*Sockets, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Inherited != nil {
		return cfg.Inherited.take(cfg)
	}
	if given := received(); len(given) > 0 {
		return adopt(given, cfg.Logger)
	}
	given, err := launchdSockets()
	if err != nil {
		return nil, err
	}
	if len(given) > 0 {
		s, err := adopt(given, cfg.Logger)
		if err == nil {
			s.Activation = Launchd
		}
		return s, err
	}
	return bind(cfg)
}

// Close closes all listeners that are still open, and the lock. It removes the control
// socket's file if it was bound here.
func (s *Sockets) Close() error {
	var errs []error
	for _, l := range slices.Concat([]net.Listener{s.Control}, s.HTTP, s.Web) {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// portOf returns the TCP port of l.
func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// HasWeb reports whether the default port of the scheme is among the sockets: 80 for
// http, 443 for https.
func (s *Sockets) HasWeb(scheme string) bool {
	port := 80
	if scheme == "https" {
		port = 443
	}
	return slices.ContainsFunc(s.Web, func(l net.Listener) bool { return portOf(l) == port })
}

// Ports returns all TCP ports, without duplicates.
func (s *Sockets) Ports() []int {
	var ports []int
	for _, l := range slices.Concat(s.HTTP, s.Web) {
		ports = append(ports, portOf(l))
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func invalid(message, next string, cause error) error {
	return &fault.Error{Kind: fault.Conflict, Message: message, Next: next, Err: cause}
}
