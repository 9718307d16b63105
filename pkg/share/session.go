package share

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/mdns"
)

// Config is one app and one way of showing it to others.
type Config struct {
	Way    string // one of Ways
	Name   string // the app's
	App    string // its URL
	Daemon int    // the daemon's port on loopback
	Home   string // where the authorities' files are

	Look    func(string) (string, error) // finds a tool's program (exec.LookPath)
	Environ []string                     // of the tool
	// IP and Port are for LAN: the only address to serve on, where it is valid, and the
	// first port to try; 0 is the daemon's.
	IP   netip.Addr
	Port int
	// Note prints one line for the person.
	Note func(format string, args ...any)

	interfaces func(netip.Addr) ([]mdns.Interface, error) // nil: this machine's
	open       func([]mdns.Interface) (mdns.Link, error)  // nil: mdns.Open
	poll       time.Duration                              // how often the interfaces are looked at; 0: pollInterval
}

// Session is one app that is shared.
type Session struct {
	URL *url.URL // where others see the app
	Way string

	front *Front
	done  <-chan struct{}
	err   func() error
	stop  func()
}

// Open shares an app until ctx ends, Stop is called, or what carries it fails: the tool
// ends, or another host takes the name. An error is a *fault.Error.
func Open(ctx context.Context, c Config) (*Session, error) {
	if !slices.Contains(Ways, c.Way) {
		return nil, &fault.Error{Kind: fault.Usage, Message: fmt.Sprintf("%q is no way of sharing", c.Way), Next: "one of " + strings.Join(Ways, ", ")}
	}
	app, err := url.Parse(strings.TrimSuffix(c.App, "/"))
	if err != nil {
		return nil, err
	}
	front := NewFront(app, daemonAt(c.Daemon), transport(app, c.Home))
	if c.Way == LAN {
		l, err := openLAN(ctx, c, app, front)
		if err != nil {
			return nil, err
		}
		return &Session{URL: l.url(), Way: c.Way, front: front, done: l.done, err: func() error { return l.err }, stop: l.Stop}, nil
	}
	l, err := Listen(os.Getuid())
	if err != nil {
		return nil, err
	}
	go func() { _ = front.Serve(l) }()
	tunnel, err := Start(ctx, c.Way, l.Addr().(*net.TCPAddr).Port, c.Look, c.Environ)
	if err != nil {
		l.Close()
		return nil, err
	}
	front.SetPublic(tunnel.URL)
	return &Session{URL: tunnel.URL, Way: c.Way, front: front, done: tunnel.Done(), err: tunnel.Err, stop: func() {
		tunnel.Stop()
		l.Close()
	}}, nil
}

func daemonAt(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// transport asks the daemon; over https it trusts the local authority beside the system's.
func transport(app *url.URL, home string) http.RoundTripper {
	t := &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, DisableCompression: true}
	if app.Scheme == "https" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if own, err := certs.Load(home); err == nil {
			roots.AddCert(own)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: app.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return t
}

// Moved sets where the app is after its daemon was restarted.
func (s *Session) Moved(app string, daemon int) {
	if u, err := url.Parse(strings.TrimSuffix(app, "/")); err == nil {
		s.front.SetApp(u, daemonAt(daemon))
	}
}

// Stop ends the session and returns when nothing is reachable through it. It may be called
// twice.
func (s *Session) Stop() { s.stop() }

// beat is how often the daemon is notified that an app is shared, and asked whether it
// is still there.
const beat = time.Second

// ErrAppEnded is how Keep ends with the app.
var ErrAppEnded = fault.New(fault.NotFound, "the app has ended")

// Keep notifies the daemon of the session until ctx ends (nil), what carries the session
// ends, the daemon was away for longer than lost (0 is for ever), or the app's name has gone
// (ErrAppEnded).
func (s *Session) Keep(ctx context.Context, client *control.Client, name string, lost time.Duration) error {
	shared := control.Share{URL: s.URL.String(), Tool: s.Way, PID: os.Getpid()}
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), beat)
		defer cancel()
		_ = client.EndShare(limited, name, shared.PID, shared.Tool) // it is forgotten without that, soon
	}()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	answered := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, beat*5)
		live, err := client.KeepShare(limited, name, shared)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !live && lost > 0:
			return ErrAppEnded
		case err == nil:
			answered = time.Now()
		case lost > 0 && time.Since(answered) > lost:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.done:
			if err := s.err(); s.Way == LAN && err != nil {
				return fault.From(err)
			}
			return &fault.Error{Kind: fault.Upstream, Message: s.Way + " has ended", Err: s.err()}
		case <-ticker.C:
		}
	}
}
