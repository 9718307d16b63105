package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/peer"
)

// FuzzGate compares the plane of a request with that of an independent parser: it must
// never be the plane of another authority than the one to which HTTP gives precedence.
func FuzzGate(f *testing.F) {
	for _, seed := range [][2]string{
		{"/", "localhost"}, {"/x?y", "app.localhost:1"}, {"http://localhost/", "app.localhost"}, {"http://app.localhost", "localhost"},
		{"http://localhost@app.localhost/", "localhost"}, {"http://localhost%2eapp.localhost/", "x"}, {"HTTP://[::1]:80/", "evil.com"},
		{"*", "localhost"}, {"//app.localhost/", "localhost"}, {"http:localhost", "localhost"}, {"http://localhost?.app.localhost", "evil"},
	} {
		f.Add(seed[0], seed[1])
	}
	none := http.NotFoundHandler()
	s, err := New(Config{Gateway: none, Apps: none})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		if strings.ContainsAny(target+host, "\r\n ") {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("OPTIONS " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil {
			return
		}
		p, no := s.gate(r)
		if no != nil {
			return
		}
		want := host
		if !strings.HasPrefix(target, "/") && target != "*" {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatalf("%q was let through to plane %d", target, p)
			}
			want = u.Host
		}
		name := strings.ToLower(strings.Trim(want, "\t"))
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
		isApp := strings.HasSuffix(name, ".localhost")
		if p == appsPlane != isApp {
			t.Fatalf("target %q, Host %q: plane %d, want that of %q", target, host, p, name)
		}
		if p == gatewayPlane && name != "localhost" && name != "127.0.0.1" && !net.ParseIP(name).IsLoopback() {
			t.Fatalf("target %q, Host %q reaches the gateway", target, host)
		}
		if r.URL.Host != "" || r.URL.Scheme != "" || r.RequestURI != "*" && !strings.HasPrefix(r.RequestURI, "/") {
			t.Fatalf("target %q stays %q, %+v", target, r.RequestURI, r.URL)
		}
	})
}

// TestHTTP2Host checks the fields that HTTP/2 can have in addition to :authority.
func TestHTTP2Host(t *testing.T) {
	s, err := New(Config{Gateway: namedPlane("gateway"), Apps: namedPlane("apps")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		hosts  []string
		status int
	}{
		{nil, 200}, {[]string{"app.localhost"}, 200}, {[]string{"APP.localhost"}, 200},
		{[]string{"localhost"}, 400}, {[]string{"app.localhost", "app.localhost"}, 400}, {[]string{}, 400},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.ProtoMajor, r.ProtoMinor, r.Host = 2, 0, "app.localhost"
		if tt.hosts != nil {
			r.Header["Host"] = tt.hosts
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("Host fields %q: %d, want %d", tt.hosts, w.Code, tt.status)
		}
	}
}

// TestHTTP2Line checks that an HTTP/2 request which is not valid on an HTTP/1.1 request
// line reaches no plane: an app would read another method or target from it.
func TestHTTP2Line(t *testing.T) {
	s, err := New(Config{Gateway: namedPlane("gateway"), Apps: namedPlane("apps")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/ok?a=b#c", 200}, {"M-SEARCH", "/\xc3\xa9", 200}, {"OPTIONS", "*", 200},
		{"GET /secret HTTP/1.1", "/ok", 400}, {"GET\t/secret", "/ok", 400},
		{"GET", "/secret HTTP/1.0", 400}, {"GET", "/a?b=c d", 400}, {"GET", "/a\tb", 400},
		{"GET", "http://other.localhost/", 400}, {"GET", "ok", 400},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Host, r.Method, r.RequestURI = "app.localhost", tt.method, tt.path
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%q %q: %d %s, want %d", tt.method, tt.path, w.Code, w.Body, tt.status)
		}
	}
}

// TestRefusalsInTheLog checks that a connection of another user is logged as a warning, and
// a client that has disconnected is not.
func TestRefusalsInTheLog(t *testing.T) {
	for why, warned := range map[error]bool{errors.New("another user's"): true, fmt.Errorf("asked: %w", peer.ErrGone): false} {
		var logged bytes.Buffer
		s := start(t, Config{Peer: func(net.Conn) (int, error) { return UnknownUID, why }, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		if resp, _ := raw(t, s.addr, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s", why, resp.Status)
		}
		s.stop()
		if strings.Contains(logged.String(), "WARN") != warned {
			t.Errorf("%v: logged %q", why, logged.String())
		}
	}
}
