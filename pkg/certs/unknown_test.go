package certs_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// TestUnknownNames: the handshake for an unknown name fails with the alert
// unrecognized_name, not with an internal error.
func TestUnknownNames(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir(), &now)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := net.Pipe()
		go func() {
			tls.Server(server, a.TLSConfig()).Handshake()
			server.Close()
		}()
		err := tls.Client(client, &tls.Config{ServerName: "other.localhost", InsecureSkipVerify: true, MaxVersion: version}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		client.Close()
	}
}
