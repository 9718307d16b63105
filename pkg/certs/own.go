package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ownLook is how often an own certificate's files are looked at for a new one.
const ownLook = 5 * time.Second

// Own is a certificate of the person's own, as mkcert or a company's authority makes it.
// It is read again when its files change. It is safe for concurrent use.
type Own struct {
	CertFile, KeyFile string
	// Failed is called after each look at the files, with nil where they can be used; it
	// may be nil.
	Failed func(error)

	mu     sync.Mutex
	cert   *tls.Certificate
	read   time.Time // the newer file's, as it was read
	looked time.Time
}

// Before gives a GetCertificate that has the own certificate served for the names that
// it has, and next's for all others.
func (o *Own) Before(next func(*tls.ClientHelloInfo) (*tls.Certificate, error)) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.current() // so that what is wrong with it is known at once
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

// current gives the certificate; nil where it cannot be used.
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
		err = fmt.Errorf("%s ended at %s", o.CertFile, o.cert.Leaf.NotAfter.Format(time.RFC3339))
	}
	if o.Failed != nil {
		o.Failed(err)
	}
	return o.cert // one that was good stays while its files are being replaced
}

// newest is when the newer of two files was changed.
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
