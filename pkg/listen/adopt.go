package listen

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// received returns the file descriptors that systemd passed.
func received() []*os.File { return activation.Files(true) }

// adopt makes listeners from the given files by their names. It closes the files; the
// listeners have copies of the descriptors.
func adopt(files []*os.File, log *slog.Logger) (_ *Sockets, err error) {
	s := &Sockets{Activation: Systemd}
	defer func() {
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			s.Close()
		}
	}()
	for _, f := range files {
		if f.Name() != NameHTTP && f.Name() != NameControl && f.Name() != NameWeb {
			log.Warn("an inherited socket with an unknown name was closed", "name", f.Name())
			continue
		}
		l, err := net.FileListener(f)
		if err != nil {
			return nil, invalid(fmt.Sprintf("the socket passed as %q is not listening", f.Name()), "hostless service install", err)
		}
		switch addr := l.Addr().(type) {
		case *net.TCPAddr:
			if f.Name() == NameControl {
				l.Close()
				return nil, invalid("the socket passed as \"control\" is a TCP socket", "hostless service install", nil)
			}
			if !addr.IP.IsLoopback() {
				log.Warn("the inherited socket accepts connections from other machines", "address", addr.String())
			}
			if f.Name() == NameWeb {
				s.Web = append(s.Web, l)
			} else {
				s.HTTP = append(s.HTTP, l)
			}
		case *net.UnixAddr:
			if f.Name() != NameControl || s.Control != nil {
				l.Close()
				return nil, invalid(fmt.Sprintf("there is more than one Unix socket named %q", f.Name()), "hostless service install", nil)
			}
			s.Control = l
		default:
			l.Close()
			return nil, invalid(fmt.Sprintf("the socket passed as %q is neither TCP nor Unix", f.Name()), "hostless service install", nil)
		}
	}
	var missing []string
	if len(s.HTTP) == 0 {
		missing = append(missing, NameHTTP)
	}
	if s.Control == nil {
		missing = append(missing, NameControl)
	}
	if len(missing) > 0 {
		return nil, invalid("the supervisor passed sockets, but none named "+strings.Join(missing, " and "), "hostless service install", nil)
	}
	s.Port = portOf(s.HTTP[0])
	if slices.ContainsFunc(s.HTTP, func(l net.Listener) bool { return portOf(l) != s.Port }) {
		return nil, invalid("the TCP sockets have different ports", "hostless service install", nil)
	}
	return s, nil
}
