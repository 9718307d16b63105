package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// namedPlane returns a plane that responds with its name and the request that it got.
func namedPlane(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Plane", name)
		fmt.Fprintf(w, "%s %s %s %s", name, r.Host, r.URL.String(), r.RequestURI)
	})
}

type running struct {
	*Server
	addr string
	stop func() error // ends Run and returns its error; may be called twice
}

// start runs a server on a free port.
func start(t *testing.T, cfg Config) running {
	t.Helper()
	if cfg.Gateway == nil {
		cfg.Gateway = namedPlane("gateway")
	}
	if cfg.Apps == nil {
		cfg.Apps = namedPlane("apps")
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return running{s, l.Addr().String(), stop}
}

// raw sends bytes unchanged and reads one response.
func raw(t *testing.T, addr, text string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

func TestRawRequests(t *testing.T) {
	s := start(t, Config{CloseDelay: time.Millisecond})
	for _, tt := range []struct {
		name, text string
		status     int
		body       string // from the plane
	}{
		{"gateway", "GET /v1 HTTP/1.1\r\nHost: LOCALHOST.:7\r\n\r\n", 200, "gateway localhost:7 /v1 /v1"},
		{"app", "GET /a?b=1;c HTTP/1.1\r\nHost: My.App.LocalHost\r\n\r\n", 200, "apps My.App.LocalHost /a?b=1;c /a?b=1;c"},
		{"HTTP/1.0 with Host", "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 200, "gateway localhost / /"},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 400, ""},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, ""},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: app.localhost\r\n\r\n", 400, ""},
		{"two equal Hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, ""},
		{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: localhost\r\nhost: app.localhost\r\n\r\n", 400, ""},
		{"folded Host", "GET / HTTP/1.1\r\nHost: localhost\r\n evil.com\r\n\r\n", 400, ""},
		{"space before the colon", "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400, ""},
		{"foreign", "GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n", 421, ""},
		{"rebinding", "GET / HTTP/1.1\r\nHost: localhost.evil.com\r\n\r\n", 421, ""},
		{"user info", "GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400, ""},
		{"CONNECT", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", 405, ""},
		{"CONNECT to an app", "CONNECT app.localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, ""},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, ""},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, ""},
		{"OPTIONS * abroad", "OPTIONS * HTTP/1.1\r\nHost: evil.com\r\n\r\n", 421, ""},
		{"GET *", "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, ""},
		{"absolute gateway", "GET http://localhost/x?y HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 200, "gateway localhost /x?y /x?y"},
		{"absolute app", "GET http://app.localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "apps app.localhost /x /x"},
		{"absolute, https, upper case", "GET HTTPS://APP.localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "apps APP.localhost:1 / /"},
		{"absolute abroad", "GET http://evil.com/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, ""},
		{"absolute without Host", "GET http://localhost/ HTTP/1.1\r\n\r\n", 400, ""},
		{"absolute with user info", "GET http://localhost@app.localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"absolute with an encoding", "GET http://%6cocalhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"absolute without a host", "GET http:///x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"absolute of another scheme", "GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"opaque", "GET http:localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"fragment", "GET http://localhost#.app.localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"backslash", "GET http://localhost\\.app.localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"two slashes are a path", "GET //app.localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "gateway localhost //app.localhost/x //app.localhost/x"},
		{"no slash", "GET x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
		{"long header", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 80<<10) + "\r\n\r\n", 431, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := raw(t, s.addr, tt.text)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d; body %q", resp.StatusCode, tt.status, body)
			}
			if got := resp.Header.Get("X-Plane"); (got != "") != (tt.body != "") || tt.body != "" && body != tt.body {
				t.Errorf("plane %q answered %q, want %q", got, body, tt.body)
			}
		})
	}
}

// TestSmuggledBodies checks that a request with two lengths has one for the planes, and
// that nothing of it is read as a second request.
func TestSmuggledBodies(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v %q %v", r.ContentLength, r.TransferEncoding, body, err)
	})
	s := start(t, Config{Gateway: echo, CloseDelay: time.Millisecond})
	resp, body := raw(t, s.addr, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	if resp.StatusCode != 400 && body != `-1 [chunked] "ok" <nil>` {
		t.Errorf("length and chunks: %d %s", resp.StatusCode, body)
	}
	if !resp.Close {
		t.Error("length and chunks: the connection is kept")
	}
	for _, header := range []string{
		"Content-Length: 1\r\nContent-Length: 2", "Content-Length: -1", "Content-Length: 0x1",
		"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
	} {
		resp, body := raw(t, s.addr, "POST / HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n\r\n1\r\na\r\n0\r\n\r\n")
		if resp.StatusCode != 400 && resp.StatusCode != 501 {
			t.Errorf("%q: %d %s", header, resp.StatusCode, body)
		}
	}
}

func TestPeerIsJudgedOncePerConnection(t *testing.T) {
	var asked atomic.Int32
	var refused atomic.Bool
	s := start(t, Config{CloseDelay: time.Millisecond, Peer: func(c net.Conn) (int, error) {
		asked.Add(1)
		if refused.Load() {
			return 42, errors.New("uid 4711")
		}
		return 42, nil
	}, Gateway: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Plane", "gateway")
		fmt.Fprint(w, PeerUID(r))
	})})
	client := &http.Client{Transport: &http.Transport{}}
	for range 3 {
		resp, err := client.Get("http://" + s.addr)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != "42" {
			t.Fatalf("status %d, peer %s", resp.StatusCode, body)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for one connection", n)
	}
	client.CloseIdleConnections()
	refused.Store(true)
	for _, host := range []string{"localhost", "app.localhost"} {
		resp, body := raw(t, s.addr, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if resp.StatusCode != 403 || resp.Header.Get("X-Plane") != "" || strings.Contains(body, "4711") {
			t.Errorf("refused peer: %d %s", resp.StatusCode, body)
		}
	}
}

func TestPanics(t *testing.T) {
	var log syncBuffer
	s := start(t, Config{
		CloseDelay: time.Millisecond,
		Logger:     slog.New(slog.NewTextHandler(&log, nil)),
		Gateway: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/late":
				fmt.Fprint(w, "started")
				w.(http.Flusher).Flush()
				panic("late")
			case "/abort":
				panic(http.ErrAbortHandler)
			default:
				panic("early")
			}
		}),
	})
	if resp, body := raw(t, s.addr, "GET /?key=canary HTTP/1.1\r\nHost: localhost\r\n\r\n"); resp.StatusCode != 500 || !strings.Contains(body, "internal_error") {
		t.Errorf("early panic: %d %s", resp.StatusCode, body)
	}
	resp, err := http.Get("http://" + s.addr + "/late")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("after a panic, a response that had started looks complete")
	}
	if _, err := http.Get("http://" + s.addr + "/abort"); err == nil {
		t.Error("ErrAbortHandler got a response")
	}
	if text := log.String(); !strings.Contains(text, "early") || !strings.Contains(text, "late") || strings.Contains(text, "canary") {
		t.Errorf("log: %s", text)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestWithoutTLS serves plain requests on several listeners, whatever net/http changes in
// its own TLS configuration meanwhile.
func TestWithoutTLS(t *testing.T) {
	s, err := New(Config{Gateway: namedPlane("gateway"), Apps: namedPlane("apps"), RedirectHTTPS: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var listeners []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, listeners...) }()
	for range 2 {
		for _, l := range listeners {
			if resp, _ := raw(t, l.Addr().String(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); resp.StatusCode != 200 {
				t.Errorf("%v: %s", l.Addr(), resp.Status)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTLSAndPlainOnOnePort(t *testing.T) {
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	var redirect atomic.Bool
	s := start(t, Config{
		CloseDelay:    time.Millisecond,
		TLS:           &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert.TLS.Certificates[0], nil }},
		RedirectHTTPS: func() bool { return redirect.Load() },
	})
	for _, tt := range []struct {
		scheme string
		h2     bool
		proto  string
	}{{"http", false, "HTTP/1.1"}, {"https", false, "HTTP/1.1"}, {"https", true, "HTTP/2.0"}} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: tt.h2}
		if !tt.h2 {
			tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
		req, _ := http.NewRequest("GET", tt.scheme+"://"+s.addr+"/p", nil)
		req.Host = "app.localhost"
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", tt.scheme, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		tr.CloseIdleConnections()
		if resp.Proto != tt.proto || string(body) != "apps app.localhost /p /p" {
			t.Errorf("%s: %s %q", tt.scheme, resp.Proto, body)
		}
	}
	// A client that sends nothing must not delay others, nor the shutdown.
	silent, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	redirect.Store(true)
	resp, _ := raw(t, s.addr, "GET /p?q HTTP/1.1\r\nHost: App.localhost:9\r\n\r\n")
	if resp.StatusCode != 308 || resp.Header.Get("Location") != "https://App.localhost:9/p?q" {
		t.Errorf("redirect: %d %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	// If the request body is not read, the response announces that the connection is
	// closed.
	if resp, _ := raw(t, s.addr, "POST /p HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1\r\n\r\nx"); resp.StatusCode != 308 || !resp.Close {
		t.Errorf("redirect with a body: %d, close %v", resp.StatusCode, resp.Close)
	}
	// Clients that cannot follow a redirect do not get one, nor do clients of the gateway.
	for name, text := range map[string]string{
		"upgrade":   "GET /p HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"preflight": "OPTIONS /p HTTP/1.1\r\nHost: app.localhost\r\nOrigin: http://web.localhost\r\nAccess-Control-Request-Method: POST\r\n\r\n",
		"gateway":   "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
	} {
		if resp, _ := raw(t, s.addr, text); resp.StatusCode != 200 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	silent.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("the silent connection: %v", err)
	}
}

// TestUploadsDoNotStopEachOther checks that an upload which its app does not read leaves
// room in the HTTP/2 window of the connection for other uploads.
func TestUploadsDoNotStopEachOther(t *testing.T) {
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	release := make(chan struct{})
	s := start(t, Config{
		CloseDelay: time.Millisecond,
		TLS:        &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert.TLS.Certificates[0], nil }},
		Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
				return
			}
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}),
	})
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	defer close(release)
	post := func(path string) (*http.Response, error) {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+s.addr+path, bytes.NewReader(make([]byte, 4<<20)))
		req.Host = "app.localhost"
		return tr.RoundTrip(req)
	}
	if resp, err := post("/fast"); err != nil || resp.ProtoMajor != 2 { // all requests share this connection
		t.Fatal(resp, err)
	}
	for range 3 {
		go post("/slow")
	}
	answered := make(chan string, 1)
	go func() {
		resp, err := post("/fast")
		if err != nil {
			answered <- err.Error()
			return
		}
		data, _ := io.ReadAll(resp.Body)
		answered <- string(data)
	}()
	select {
	case got := <-answered:
		if got != "4194304" {
			t.Errorf("the other upload: %s", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("an upload is blocked by others that are not read")
	}
}
