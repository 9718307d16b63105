package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ownLook is how often the files are checked for changes.
const ownLook = 5 * time.Second

// Own is a certificate that the user provides, for example from mkcert or a company's
// authority. It is reloaded when its files change. It is safe for concurrent use.
type Own struct {
	CertFile, KeyFile string
	// Failed is called after each check of the files, with nil if they can be used. It
	// may be nil.
	Failed func(error)

	mu     sync.Mutex
	cert   *tls.Certificate
	read   time.Time // modification time of the newer file when it was read
	looked time.Time
}

// Before returns a GetCertificate function that serves the user's certificate for the
// names in it, and calls next for all others.
func (o *Own) Before(next func(*tls.ClientHelloInfo) (*tls.Certificate, error)) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.current() // reports a problem at once
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		if name == "" {
			name = localhostName
		}
		if cert := o.current(); cert != nil && cert.Leaf != nil && cert.Leaf.VerifyHostname(name) == nil {
			return cert, nil
		}
		return next(hello)
	}
}

// current returns the certificate, or nil if none could be loaded.
func (o *Own) current() *tls.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.looked) < ownLook {
		return o.cert
	}
	o.looked = time.Now()
	changed, err := newest(o.CertFile, o.KeyFile)
	if err == nil && (o.cert == nil || changed.After(o.read)) {
		var cert tls.Certificate
		if cert, err = tls.LoadX509KeyPair(o.CertFile, o.KeyFile); err == nil {
			o.cert, o.read = &cert, changed
		}
	}
	if err == nil && time.Now().After(o.cert.Leaf.NotAfter) {
		err = fmt.Errorf("%s expired at %s", o.CertFile, o.cert.Leaf.NotAfter.Format(time.RFC3339))
	}
	if o.Failed != nil {
		o.Failed(err)
	}
	return o.cert // a good certificate stays in use while its files are being replaced
}

// newest returns the latest modification time of the files.
func newest(files ...string) (at time.Time, err error) {
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return at, err
		}
		if info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	return at, nil
}
