// Package listen owns where the daemon's sockets come from: handed over by
// systemd or launchd, found by their names, or bound by itself under a lock.
//
// The two are never mixed: a daemon that was given descriptors takes all of its
// sockets from them. What is served on the sockets is left to others.
package listen

import (
	"errors"
	"log/slog"
	"net"
	"slices"

	"github.com/hostless/hostless/pkg/fault"
)

// The names of the sockets, as FileDescriptorName in the socket units has them.
const (
	NameHTTP    = "http"
	NameControl = "control"
	NameWeb     = "web" // the ports that URLs do not name: 80 and 443
)

// The ways in which sockets come, in the words of GET /status.
const (
	Systemd = "systemd"
	Launchd = "launchd"
	Self    = "self"
)

// Config says what to listen on where nothing was handed over.
type Config struct {
	Port   int          // TCP port; 0 picks a free one, the same for both families
	Socket string       // the control socket's path; required
	Logger *slog.Logger // discards when nil

	// Inherited is what a predecessor passed on (Inherit); nil is nothing.
	Inherited *Inheritance
}

// Sockets are the daemon's listeners.
type Sockets struct {
	HTTP       []net.Listener // one or two, loopback only
	Control    net.Listener
	Web        []net.Listener // ports 80 and 443 where they were handed over; served as HTTP is
	Port       int            // of HTTP
	Activation string         // Systemd, Launchd or Self

	lock *Lock
}

// Open takes the sockets that a predecessor or a supervisor handed over or, where there are none, binds
// its own. It reads and clears LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES
// (sd_listen_fds(3)), and launchd gives each socket once, so it is called once in
// a process, before any child is started. The error is a fault.Error with what to do next where a person can
// mend it.
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

// Close closes all listeners that are still open and gives up the lock. The
// control socket's file goes with it, if it was bound here.
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

// portOf is the TCP port that l listens on.
func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// HasWeb reports whether a port that URLs need not name is listened on: 80 for
// http, 443 for https.
func (s *Sockets) HasWeb(scheme string) bool {
	port := 80
	if scheme == "https" {
		port = 443
	}
	return slices.ContainsFunc(s.Web, func(l net.Listener) bool { return portOf(l) == port })
}

// Ports are all TCP ports that are listened on, without repetition.
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
