package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/hostless/hostless/pkg/fault"
)

// handoverEnv is the environment variable that tells a successor what its predecessor
// passed on: the activation, a colon, and a comma-separated name for each descriptor from
// handoverFirst on.
const (
	handoverEnv   = "HOSTLESS_HANDOVER"
	handoverFirst = 3 // the first descriptor of exec.Cmd.ExtraFiles
)

// Names of descriptors that are not listening sockets.
const (
	nameChannel     = "channel"
	nameEarlier     = "earlier"
	nameHomeLock    = "home-lock"
	nameControlLock = "control-lock"
)

// PassTo makes cmd, which must not have been started, inherit the sockets, their lock
// and the lock of the home. This process keeps them too, and both processes can accept
// until one closes its listeners. A lock is held until both have closed it (flock(2): it
// belongs to the open file description).
//
// The returned connection leads to the Channel of the successor's Inheritance; the caller
// must close it. The successor also gets earlier, the channels to processes before this
// one. The caller must call release after cmd was started or failed to start.
func (s *Sockets) PassTo(cmd *exec.Cmd, home *Lock, earlier ...net.Conn) (channel net.Conn, release func(), err error) {
	var files []*os.File
	release = func() {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	channel, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			channel.Close()
		}
	}()
	files = append(files, theirs)
	names := []string{nameChannel}
	add := func(name string, f *os.File, err error) error {
		if err != nil {
			return fmt.Errorf("pass on %s: %w", name, err)
		}
		names, files = append(names, name), append(files, f)
		return nil
	}
	for _, l := range s.HTTP {
		f, ferr := fileOf(l, NameHTTP)
		if err = add(NameHTTP, f, ferr); err != nil {
			return nil, nil, err
		}
	}
	for _, l := range s.Web {
		f, ferr := fileOf(l, NameWeb)
		if err = add(NameWeb, f, ferr); err != nil {
			return nil, nil, err
		}
	}
	f, ferr := fileOf(s.Control, NameControl)
	if err = add(NameControl, f, ferr); err != nil {
		return nil, nil, err
	}
	for _, c := range earlier {
		f, ferr := fileOf(c, nameEarlier)
		if err = add(nameEarlier, f, ferr); err != nil {
			return nil, nil, err
		}
	}
	for name, lock := range map[string]*Lock{nameHomeLock: home, nameControlLock: s.lock} {
		if lock == nil || lock.f == nil {
			continue
		}
		f, ferr := duplicate(int(lock.f.Fd()), name)
		if err = add(name, f, ferr); err != nil {
			return nil, nil, err
		}
	}
	cmd.ExtraFiles = files
	cmd.Env = append(cmd.Env, handoverEnv+"="+s.Activation+":"+strings.Join(names, ","))
	return channel, release, nil
}

// KeepSocket makes Close keep the control socket's file, because it belongs to a successor
// from now on.
func (s *Sockets) KeepSocket() {
	if c, ok := s.Control.(*controlListener); ok {
		c.left.Store(true)
	}
}

// Unlock closes the control socket's lock in this process. A successor's copy keeps it
// locked.
func (s *Sockets) Unlock() error { return s.lock.Close() }

// Inheritance is what a predecessor passed on with PassTo. A nil Inheritance is empty;
// its methods may be called.
type Inheritance struct {
	Channel net.Conn   // to the predecessor
	Earlier []net.Conn // to earlier processes, which may still be serving requests
	Home    *Lock      // lock of the home

	activation string
	files      []*os.File // listening sockets, with their names
	lock       *Lock      // lock of the control socket
}

// Inherit takes what a predecessor passed on to this process, and removes it from the
// environment. It must be called once, before any child process is started. It returns
// nil if there is no predecessor.
func Inherit() (*Inheritance, error) {
	text, ok := os.LookupEnv(handoverEnv)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(handoverEnv)
	activation, list, ok := strings.Cut(text, ":")
	if !ok {
		return nil, fmt.Errorf("%s is malformed", handoverEnv)
	}
	in := &Inheritance{activation: activation}
	var err error
	for i, name := range strings.Split(list, ",") {
		fd := handoverFirst + i
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		switch name {
		case nameChannel:
			c, connErr := net.FileConn(f)
			f.Close()
			if err = errors.Join(err, connErr); connErr == nil {
				in.Channel = c
			}
		case nameEarlier:
			c, connErr := net.FileConn(f)
			f.Close()
			if err = errors.Join(err, connErr); connErr == nil {
				in.Earlier = append(in.Earlier, c)
			}
		case nameHomeLock:
			in.Home = &Lock{f}
		case nameControlLock:
			in.lock = &Lock{f}
		default:
			in.files = append(in.files, f)
		}
	}
	if err == nil && in.Channel == nil {
		err = errors.New("no channel to the predecessor")
	}
	if err != nil {
		return nil, fmt.Errorf("inherit from the predecessor: %w", err)
	}
	return in, nil
}

// Close closes the channels that are still open. The sockets and locks belong to those
// who took them.
func (in *Inheritance) Close() error {
	if in == nil {
		return nil
	}
	for _, c := range in.Earlier {
		c.Close()
	}
	return in.Channel.Close()
}

// take makes the sockets from the inherited descriptors.
func (in *Inheritance) take(cfg Config) (*Sockets, error) {
	s, err := adopt(in.files, cfg.Logger)
	in.files = nil
	if err != nil {
		return nil, err
	}
	s.Activation, s.lock = in.activation, in.lock
	if s.Activation != Self {
		return s, nil
	}
	control, ok := s.Control.(*net.UnixListener)
	if !ok {
		s.Close()
		return nil, &fault.Error{Kind: fault.Internal, Message: "the inherited control socket is not a Unix socket"}
	}
	control.SetUnlinkOnClose(false)
	info, err := os.Lstat(cfg.Socket)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s.Control = &controlListener{UnixListener: control, path: cfg.Socket, made: info}
	return s, nil
}

// fileOf duplicates a socket's descriptor. The listener's File method must not be used:
// it would make the socket blocking, for this process too, because that flag belongs to
// the open file description.
func fileOf(l any, name string) (*os.File, error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no descriptor", l)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	var dupErr error
	if err := raw.Control(func(fd uintptr) { f, dupErr = duplicate(int(fd), name) }); err != nil {
		return nil, err
	}
	return f, dupErr
}

// duplicate returns a duplicate of the descriptor fd.
func duplicate(fd int, name string) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	second, err := syscall.Dup(fd)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(second)
	return os.NewFile(uintptr(second), name), nil
}

// socketPair returns a connection and a file for its other end.
func socketPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), nameChannel), os.NewFile(uintptr(fds[1]), nameChannel)
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}
