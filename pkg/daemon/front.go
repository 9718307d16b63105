package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/dashboard"
	"github.com/hostless/hostless/pkg/front"
	"github.com/hostless/hostless/pkg/mcp"
	"github.com/hostless/hostless/pkg/peer"
)

// openFront creates the front, which dispatches requests to both planes.
func (d *daemon) openFront(log *slog.Logger) (err error) {
	tools, err := mcp.NewHTTP(mcp.HTTPConfig{
		Version: d.cfg.Version, Tokens: d.tokens, Logger: log,
		Source: func(r *http.Request) mcp.Source {
			pid, _ := sender(r)
			return d.control.Reader(pid)
		},
	})
	if err != nil {
		return err
	}
	cfg := front.Config{
		Gateway: d.apps.Home(tools.Before(d.gateway)), Apps: d.apps, Page: d.dashboard, Foreign: http.HandlerFunc(d.apps.Misdirected),
		Peer: d.peerPolicy(log), Guest: d.settings.AllowsUID, Domains: d.settings.Domains, Logger: log, RedirectHTTPS: d.settings.HTTPSRedirect,
	}
	if d.tls {
		authority, err := certs.New(certs.Config{Dir: d.cfg.Paths.Home, Serves: d.serves, Domains: d.settings.Domains().Custom(), Logger: d.log.With("component", "certs")})
		if err != nil {
			return fmt.Errorf("local certificate authority: %w", err)
		}
		cfg.TLS = authority.TLSConfig()
		d.useOwnCertificate(cfg.TLS)
	}
	d.front, err = front.New(cfg)
	return err
}

// useOwnCertificate serves the user's own certificate for the names in it. If its files
// cannot be used, it sets a warning, and leaves of the local authority are served.
func (d *daemon) useOwnCertificate(cfg *tls.Config) {
	cert, key := d.cfg.CertFile, d.cfg.KeyFile
	if cert == "" {
		cert, key = d.settings.CertFile(), d.settings.KeyFile()
	}
	if cert == "" {
		return
	}
	own := &certs.Own{CertFile: cert, KeyFile: key, Failed: func(err error) {
		var found []string
		if err != nil {
			found = []string{"your own certificate is not served: " + err.Error()}
		}
		d.warnings.set("certificate", found)
	}}
	cfg.GetCertificate = own.Before(cfg.GetCertificate)
}

// serves reports whether a host name, below localhost or another domain, leads to an app or
// to the page.
func (d *daemon) serves(host string) bool {
	canonical, ok := d.settings.Domains().Canonical(host)
	return host == dashboard.Host || ok && d.routes.Serves(canonical)
}

// peerPolicy accepts connections of the daemon's own user, of that user's subordinate users
// (rootless containers), and of root. Where the kernel does not report the owner of a
// connection, as on macOS, it accepts all users of this machine and logs that once.
func (d *daemon) peerPolicy(log *slog.Logger) func(net.Conn) (int, error) {
	var once sync.Once
	return func(c net.Conn) (int, error) {
		uid, err := peer.TCPOwner(c)
		switch {
		case errors.Is(err, peer.ErrUnsupported):
			once.Do(func() {
				log.Warn("the owner of a TCP connection cannot be determined here: other users of this machine are not kept out", "error", err)
				d.warnings.set("front", []string{"other users of this machine are not kept out: the owner of a TCP connection cannot be determined here"})
			})
			return front.UnknownUID, nil
		case err != nil:
			return front.UnknownUID, err
		case uid != d.uid && uid != 0 && !peer.Subordinate(uid, d.uid):
			return uid, fmt.Errorf("it is uid %d's", uid)
		}
		return uid, nil
	}
}
