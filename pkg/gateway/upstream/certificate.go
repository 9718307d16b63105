package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// isCertificate reports whether a connection failed because of the server's certificate.
func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}
