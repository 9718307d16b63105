package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
)

func TestProvidersCertificateIsChecked(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary {
			t.Errorf("headers %v", r.Header)
		}
		io.WriteString(rw, r.Proto)
	}))
	up.EnableHTTP2 = true
	up.StartTLS()
	defer up.Close()
	roots := x509.NewCertPool()
	roots.AddCert(up.Certificate())
	trusting := newWorld(t, func(c *gateway.Config) { c.TLS = &tls.Config{RootCAs: roots} })
	trusting.keys.put("openai", up.URL)
	for range 2 {
		trusting.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 200, "HTTP/2.0")
	}
	strict := newWorld(t)
	strict.keys.put("openai", up.URL)
	strict.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 502, "certificate")
}
