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

// received takes the descriptors that a supervisor handed over.
func received() []*os.File { return activation.Files(true) }

// adopt makes listeners of the given files by their names. It closes the files:
// a listener holds a copy of its own, and so does the supervisor.
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
			return nil, invalid(fmt.Sprintf("the socket handed over as %q does not listen", f.Name()), "hostless service install", err)
		}
		switch addr := l.Addr().(type) {
		case *net.TCPAddr:
			if f.Name() == NameControl {
				l.Close()
				return nil, invalid("the socket handed over as \"control\" is a TCP socket", "hostless service install", nil)
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
				return nil, invalid(fmt.Sprintf("the Unix socket handed over as %q is one too many", f.Name()), "hostless service install", nil)
			}
			s.Control = l
		default:
			l.Close()
			return nil, invalid(fmt.Sprintf("the socket handed over as %q is neither TCP nor Unix", f.Name()), "hostless service install", nil)
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
		return nil, invalid("the supervisor handed over sockets, but none by the name of "+strings.Join(missing, " and "), "hostless service install", nil)
	}
	s.Port = portOf(s.HTTP[0])
	if slices.ContainsFunc(s.HTTP, func(l net.Listener) bool { return portOf(l) != s.Port }) {
		return nil, invalid("the TCP sockets handed over have different ports", "hostless service install", nil)
	}
	return s, nil
}
