package run

import (
	"os"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/test/harness"
)

// TestChildTrustsTheAuthority: with TLS on, programs of an app trust the local authority
// besides the system's authorities, and a bundle configured by the user stays included.
func TestChildTrustsTheAuthority(t *testing.T) {
	d := harness.Start(t, "--tls")
	ca, err := os.ReadFile(certs.CertPath(d.Home))
	if err != nil {
		t.Fatal(err)
	}
	own := d.Home + "/own.pem"
	if err := os.WriteFile(own, ca, 0o600); err != nil { // any certificate will do
		t.Fatal(err)
	}
	d.Env = append(d.Env, "SSL_CERT_FILE=", "NODE_EXTRA_CA_CERTS=", "REQUESTS_CA_BUNDLE="+own)
	out := d.Must("run", "web", "--no-token", "--", "sh", "-c", `echo "$HOSTLESS_URL $NODE_EXTRA_CA_CERTS $REQUESTS_CA_BUNDLE"; cat "${SSL_CERT_FILE:-/dev/null}"`)
	first, rest, _ := strings.Cut(out, "\n")
	if want := "https://web.localhost:" + d.Port + " " + certs.CertPath(d.Home) + " " + own; first != want {
		t.Errorf("the app sees %q, want %q", first, want)
	}
	if rest != "" && !strings.Contains(rest, strings.TrimSpace(string(ca))) {
		t.Error("the bundle lacks the local authority")
	}
	if rest != "" && strings.Count(rest, "BEGIN CERTIFICATE") < 2 {
		t.Error("the bundle lacks the system's certificates")
	}
}
