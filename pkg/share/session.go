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

// Config describes an app and the way in which it is shared.
type Config struct {
	Way    string // one of Ways
	Name   string // the app's name
	App    string // the app's URL
	Daemon int    // the daemon's port on loopback
	Home   string // the directory of the certificate authorities

	Look    func(string) (string, error) // finds a tool's program (exec.LookPath)
	Environ []string                     // the tool's environment
	// IP and Port are for LAN. If IP is valid, it is the only address to listen on. Port is
	// the first port to try; 0 is the daemon's.
	IP   netip.Addr
	Port int
	// Note prints one line for the user.
	Note func(format string, args ...any)

	interfaces func(netip.Addr) ([]mdns.Interface, error) // nil is this machine's
	open       func([]mdns.Interface) (mdns.Link, error)  // nil is mdns.Open
	poll       time.Duration                              // how often the interfaces are polled; 0 is pollInterval
}

// Session is a shared app.
type Session struct {
	URL *url.URL // the app's URL for others
	Way string

	front *Front
	app   string // the app's URL; only Keep changes it
	done  <-chan struct{}
	err   func() error
	stop  func()
}

// Open shares an app until ctx ends, Stop is called, the tool ends, or another host takes
// the name. The error is a *fault.Error.
func Open(ctx context.Context, c Config) (*Session, error) {
	if !slices.Contains(Ways, c.Way) {
		return nil, &fault.Error{Kind: fault.Usage, Message: fmt.Sprintf("%q is not a way of sharing", c.Way), Next: "one of " + strings.Join(Ways, ", ")}
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
		return &Session{URL: l.url(), Way: c.Way, app: c.App, front: front, done: l.done, err: func() error { return l.err }, stop: l.Stop}, nil
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
	return &Session{URL: tunnel.URL, Way: c.Way, app: c.App, front: front, done: tunnel.Done(), err: tunnel.Err, stop: func() {
		tunnel.Stop()
		l.Close()
	}}, nil
}

func daemonAt(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// transport returns the transport for requests to the daemon. For https it trusts the local
// authority and the system's.
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

// moved leads to where the app is after its daemon was started again, on another port
// perhaps.
func (s *Session) moved(app string) {
	u, err := url.Parse(strings.TrimSuffix(app, "/"))
	if err != nil {
		return
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	s.app = app
	s.front.SetApp(u, daemonAt(port))
}

// Stop ends the session and returns when the app is no longer reachable through it. It may be
// called twice.
func (s *Session) Stop() { s.stop() }

// beat is the interval of the heartbeat that reports the share to the daemon and checks that
// the app is still registered.
const beat = time.Second

// ErrAppEnded is returned by Keep when the app has ended.
var ErrAppEnded = fault.New(fault.NotFound, "the app has ended")

// Keep reports the session to the daemon. It returns nil when ctx ends, an error when the
// session ends or the daemon has been unreachable for longer than lost (0 is no limit), and
// ErrAppEnded when the app has ended.
func (s *Session) Keep(ctx context.Context, client *control.Client, name string, lost time.Duration) error {
	shared := control.Share{URL: s.URL.String(), Tool: s.Way, PID: os.Getpid()}
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), beat)
		defer cancel()
		_ = client.EndShare(limited, name, shared.PID, shared.Tool) // without it the share expires soon
	}()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	answered := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, beat*5)
		got, err := client.KeepShare(limited, name, shared)
		cancel()
		if err == nil && got.URL != "" && got.URL != s.app {
			s.moved(got.URL)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !got.Live && lost > 0:
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
