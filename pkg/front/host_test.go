package front

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct {
		in     string
		want   plane
		normal string
	}{
		{"localhost", gatewayPlane, "localhost"},
		{"LocalHost:48282", gatewayPlane, "localhost:48282"},
		{"localhost.", gatewayPlane, "localhost"},
		{"LOCALHOST.:1", gatewayPlane, "localhost:1"},
		{"127.0.0.1", gatewayPlane, "127.0.0.1"},
		{"127.0.0.1:65535", gatewayPlane, "127.0.0.1:65535"},
		{"[::1]", gatewayPlane, "[::1]"},
		{"[::1]:8080", gatewayPlane, "[::1]:8080"},
		{"[0:0:0:0:0:0:0:1]", gatewayPlane, "[::1]"},

		{"app.localhost", appsPlane, "app.localhost"},
		{"API.MyApp.LOCALHOST.:48282", appsPlane, "api.myapp.localhost:48282"},
		{"localhost.localhost", appsPlane, "localhost.localhost"},
		{"127.0.0.1.localhost", appsPlane, "127.0.0.1.localhost"},
		{long + ".localhost", appsPlane, long + ".localhost"},
		{"xn--bcher-kva.localhost", appsPlane, "xn--bcher-kva.localhost"},

		{"example.com", foreign, ""},
		{"localhost.evil.com", foreign, ""},
		{"evillocalhost", foreign, ""},
		{"app-localhost", foreign, ""},
		{"localhost.localdomain", foreign, ""},
		{"hostless", foreign, ""},
		{"127.0.0.2", foreign, ""},
		{"127.1", foreign, ""},
		{"127.0.0.01", foreign, ""},
		{"2130706433", foreign, ""},
		{"0x7f000001", foreign, ""},
		{"0177.0.0.1", foreign, ""},
		{"127.0.0.1.", foreign, ""},
		{"0.0.0.0", foreign, ""},
		{"[::]", foreign, ""},
		{"[::ffff:127.0.0.1]", foreign, ""},
		{"[::ffff:7f00:1]", foreign, ""},
		{"[::1%lo]", foreign, ""},
		{"[fe80::1]", foreign, ""},

		{"", malformed, ""},
		{".", malformed, ""},
		{"..localhost", malformed, ""},
		{".localhost", malformed, ""},
		{"a..localhost", malformed, ""},
		{"localhost..", malformed, ""},
		{long + "a.localhost", malformed, ""},
		{strings.Repeat("a.", 124) + "localhost", malformed, ""},
		{"localhost:", malformed, ""},
		{"localhost:0", malformed, ""},
		{"localhost:65536", malformed, ""},
		{"localhost:+80", malformed, ""},
		{"localhost:80:80", malformed, ""},
		{"localhost:http", malformed, ""},
		{"localhost:000080", malformed, ""},
		{"user@localhost", malformed, ""},
		{"user:pw@localhost", malformed, ""},
		{"localhost%00", malformed, ""},
		{"%6cocalhost", malformed, ""},
		{"local host", malformed, ""},
		{" localhost", malformed, ""},
		{"localhost\t", malformed, ""},
		{"localhost/x", malformed, ""},
		{"localhost,evil.com", malformed, ""},
		{"lоcalhost", malformed, ""}, // a Cyrillic o
		{"app。localhost", malformed, ""},
		{"::1", malformed, ""},
		{"[::1", malformed, ""},
		{"[::1]x", malformed, ""},
		{"[::1].", malformed, ""},
		{"[127.0.0.1]", malformed, ""},
		{"[localhost]", malformed, ""},
	} {
		p, normal := classify(tt.in)
		if p != tt.want || normal != tt.normal {
			t.Errorf("classify(%q) = %d, %q; want %d, %q", tt.in, p, normal, tt.want, tt.normal)
		}
	}
}

// FuzzClassify checks that only loopback names reach the gateway, only names below
// .localhost the apps, and that the normal form is stable.
func FuzzClassify(f *testing.F) {
	for _, seed := range []string{"localhost", "app.localhost:1", "[::1]:80", "localhost.", "a@localhost", "[::ffff:127.0.0.1]", "LOCALHOST.evil"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, normal := classify(in)
		if p != gatewayPlane && p != appsPlane {
			if normal != "" {
				t.Fatalf("classify(%q) is refused with a normal form %q", in, normal)
			}
			return
		}
		host := normal
		if i := strings.LastIndex(host, ":"); i >= 0 && !strings.HasSuffix(host, "]") {
			host = host[:i]
		}
		switch p {
		case gatewayPlane:
			if host != "localhost" && host != "127.0.0.1" && host != "[::1]" {
				t.Fatalf("classify(%q) reaches the gateway as %q", in, host)
			}
		case appsPlane:
			if !strings.HasSuffix(host, ".localhost") || strings.ContainsAny(host, "@/%[]: ") {
				t.Fatalf("classify(%q) reaches the apps as %q", in, host)
			}
		}
		if again, twice := classify(normal); again != p || twice != normal {
			t.Fatalf("classify(%q) = %d, %q; then %d, %q", in, p, normal, again, twice)
		}
	})
}
