package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestForwardingFieldsInDisguise: apps that follow CGI's rules do not distinguish an
// underscore from a hyphen.
func TestForwardingFieldsInDisguise(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "x_forwarded_for": true, "X-Forwarded_Host": true, "X_FORWARDED-PROTO": true, "x_real_ip": true,
		"X_Hostless_Hops": true, "Forwarded": true, "X-Forwarded": false, "Forwarded_": false, "X_Forward": false, "Access_token": false,
	} {
		if got := forwarding(http.CanonicalHeaderKey(name)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestHops(t *testing.T) {
	for value, want := range map[string]int{"": 0, "3": 3, " 4 ": 4, "-1": 0, "x": 0, "70000": 65535, "99999999999999999999": 65535} {
		if got := hops(http.Header{headerHops: {value}}); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

// TestSpaceBeforeTheColon: whitespace before the colon is removed from the app's
// response.
func TestSpaceBeforeTheColon(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		if e.std {
			return // net/http rejects it
		}
		e.script("HTTP/1.1 200 OK\r\nX-A \t: b\r\nContent-Length : 2\r\n\r\nok")
		if resp, text := e.get("/"); resp.StatusCode != http.StatusOK || resp.Header.Get("X-A") != "b" || text != "ok" {
			t.Errorf("%d %v %q", resp.StatusCode, resp.Header, text)
		}
		e.script("HTTP/1.1 200 OK\r\n X-A: b\r\nContent-Length: 2\r\n\r\nok")
		if resp, _ := e.get("/"); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("a first field line that begins with whitespace: %d", resp.StatusCode)
		}
	})
}

// TestRefusalOfHTTP10: a refused upgrade is sent with our own framing, so the version
// must be HTTP/1.1 too.
func TestRefusalOfHTTP10(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.socketApp(func(c net.Conn, _ *bufio.Reader, _ *http.Request) {
			io.WriteString(c, "HTTP/1.0 403 Go Away\r\n\r\nnope")
		})
		_, r := e.raw("GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n")
		got, err := io.ReadAll(r)
		if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 403 Go Away\r\n") || !strings.HasSuffix(string(got), "\r\n4\r\nnope\r\n0\r\n\r\n") {
			t.Errorf("%q, %v", got, err)
		}
	})
}
