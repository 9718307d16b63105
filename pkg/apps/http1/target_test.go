package http1_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/fault"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]string{
		"3000": "localhost:3000", "127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "http://example.com": "http://example.com:80",
		"https://example.com:8443/base/": "https://example.com:8443/base", "unix:/run/app.sock": "unix:/run/app.sock", "unix:///run/app.sock": "unix:/run/app.sock",
	} {
		got, err := http1.ParseTarget(in)
		if err != nil || got.String() != want {
			t.Errorf("ParseTarget(%q) = %q, %v; want %q", in, got, err, want)
		}
		if again, err := http1.ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%q does not read back: %+v, %v", got, again, err)
		}
	}
	for _, bad := range []string{"", "0", "65536", "host", "host:", ":80", "ftp://x", "http://", "http://u:p@x", "http://x?q", "unix:rel", "a b:80", "http://x:0", "http://x:65536"} {
		if got, err := http1.ParseTarget(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseTarget(%q) = %+v, %v; want an invalid fault", bad, got, err)
		}
	}
}
