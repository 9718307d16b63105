package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestForwardingFieldsInDisguise: an app that reads headers by CGI's rules takes
// an underscore for a hyphen.
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

// TestSpaceBeforeTheColon is taken out on the way to the client.
func TestSpaceBeforeTheColon(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		if e.std {
			return // net/http refuses it
		}
		e.script("HTTP/1.1 200 OK\r\nX-A \t: b\r\nContent-Length : 2\r\n\r\nok")
		if resp, text := e.get("/"); resp.StatusCode != http.StatusOK || resp.Header.Get("X-A") != "b" || text != "ok" {
			t.Errorf("%d %v %q", resp.StatusCode, resp.Header, text)
		}
		e.script("HTTP/1.1 200 OK\r\n X-A: b\r\nContent-Length: 2\r\n\r\nok")
		if resp, _ := e.get("/"); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("a first line that begins with space: %d", resp.StatusCode)
		}
	})
}

// TestRefusalOfHTTP10: the framing of a refused upgrade is ours, and so is the
// version that it belongs to.
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
