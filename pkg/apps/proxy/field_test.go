package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/apps/routes"
)

// TestOwnAddressIsRewritten: frameworks build redirects from the address that they listen
// on. Exactly that address is rewritten, in every response field that can contain it.
func TestOwnAddressIsRewritten(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		var own string
		app := e.app(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			w.Header().Set(q.Get("h"), strings.ReplaceAll(q.Get("v"), "OWN", own))
			w.WriteHeader(307)
		})
		_, own, _ = strings.Cut(app.URL, "://")
		_, port, _ := net.SplitHostPort(own)
		for _, tt := range []struct{ header, value, want string }{
			{"Location", "http://OWN/login?a=1", "http://app.localhost/login?a=1"},
			{"Location", "HTTP://localhost:PORT/x#y", "http://app.localhost/x#y"},
			{"Location", "http://[::1]:PORT", "http://app.localhost"},
			{"Location", "http://0.0.0.0:PORT/x", "http://app.localhost/x"},
			{"Location", "//OWN/x%2Fy", "http://app.localhost/x%2Fy"},
			{"Location", "https://localhost:PORT?next=http://OWN/", "http://app.localhost?next=http://OWN/"},
			{"Content-Location", "http://OWN/a", "http://app.localhost/a"},
			{"Link", `<http://OWN/a?page=2>; rel="next", </b>; rel=x, <http://localhost:PORT/c>; rel="last"`, `<http://app.localhost/a?page=2>; rel="next", </b>; rel=x, <http://app.localhost/c>; rel="last"`},
			{"Refresh", "0; url=http://OWN/a", "0; url=http://app.localhost/a"},
			{"Refresh", "5;URL='http://localhost:PORT/a'", "5; url='http://app.localhost/a'"},
			{"Set-Cookie", "a=b; Domain=127.0.0.1; Path=/", "a=b; Path=/"},
			{"Set-Cookie", "a=b; HttpOnly; domain=.localhost", "a=b; HttpOnly"},
			{"Strict-Transport-Security", "max-age=31536000", ""},
			// other addresses
			{"Location", "/login", ""}, {"Location", "?a=http://OWN/", ""}, {"Location", "http://127.0.0.1:1/x", ""},
			{"Location", "http://example.com:PORT/x", ""}, {"Location", "http://user@OWN/x", ""}, {"Location", "http://OWN.example.com/", ""},
			{"Location", "ftp://OWN/x", ""}, {"Location", "http://app.localhost/x", ""}, {"Location", "https://login.example/?r=http://OWN/", ""},
			{"Link", "<http://example.com/?u=http://OWN/a>; rel=next", ""}, {"Link", "<http://OWN/a", ""}, {"Link", "</style.css>; rel=preload; as=style", ""},
			{"Refresh", "5", ""}, {"Refresh", "5; url=/x", ""}, {"Set-Cookie", "a=b; Domain=app.localhost", ""}, {"Set-Cookie", "a=Domain=localhost", ""},
		} {
			value := strings.ReplaceAll(tt.value, "PORT", port)
			want := strings.ReplaceAll(strings.ReplaceAll(tt.want, "PORT", port), "OWN", own)
			if want == "" && tt.header != "Strict-Transport-Security" {
				want = strings.ReplaceAll(value, "OWN", own)
			}
			req := httptest.NewRequest("GET", "http://app.localhost/out", nil)
			req.RequestURI = ""
			req.URL.RawQuery = "h=" + tt.header + "&v=" + url.QueryEscape(value)
			resp, err := e.client().Transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get(tt.header); got != want {
				t.Errorf("%s: %s: got %q, want %q", tt.header, value, got, want)
			}
		}
	})
}

// TestOwnSchemeIsKept: an app that only sees plain http redirects to http://NAME even if
// the page was opened with https.
func TestOwnSchemeIsKept(t *testing.T) {
	o := ownAddress{scheme: "https", host: "shop.localhost:48282"}
	o.target.Host = "localhost:4000"
	for in, want := range map[string]string{
		"http://shop.localhost:48282/login": "https://shop.localhost:48282/login", "https://shop.localhost:48282/": "https://shop.localhost:48282/",
		"http://localhost:4000/x": "https://shop.localhost:48282/x", "http://shop.localhost/": "http://shop.localhost/",
	} {
		if got := o.url(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// lease registers app.localhost as a run that listens on a port.
func (e *env) lease(port int, state string) *routes.Lease {
	e.t.Helper()
	lease, err := e.plane.Lease(e.t.Context(), routes.Registration{Name: "app", Port: port, Command: "node app.js"})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(lease.Release)
	if err := lease.Update(routes.Update{State: state}); err != nil {
		e.t.Fatal(err)
	}
	return lease
}

// freePort returns a port of 127.0.0.1 on which nothing listens.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestRestartIsWaitedFor: while a file watcher restarts an app, connections are refused
// for a moment. Since nothing was sent, a request of any method is held.
func TestRestartIsWaitedFor(t *testing.T) {
	for _, way := range []string{"listening", "starting"} {
		t.Run(way, func(t *testing.T) {
			p := openPlane(t, options{Config: Config{Hold: 20 * time.Second}})
			e := &env{t: t, plane: p, addr: behindFront(t, p)}
			port := freePort(t)
			lease := e.lease(port, way)
			answers := make(chan string, 8)
			ask := func(text, body string) {
				_, r := e.raw(text)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					answers <- err.Error()
					return
				}
				data, _ := io.ReadAll(resp.Body)
				answers <- fmt.Sprint(resp.StatusCode, " ", string(data))
			}
			go ask("GET /get HTTP/1.1\r\nHost: app.localhost\r\n\r\n", "")
			go ask("POST /form HTTP/1.1\r\nHost: app.localhost\r\nAccept: text/html\r\nContent-Length: 4\r\n\r\nform", "")
			go ask("POST /chunks HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nform\r\n0\r\n\r\n", "")
			go ask("GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "")
			select {
			case got := <-answers:
				t.Fatalf("answered without the app: %s", got)
			case <-time.After(150 * time.Millisecond):
			}
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal("another process has taken the port: ", err)
			}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s", r.URL.Path, data)
			}))
			srv.Listener.Close()
			srv.Listener = l
			srv.Start()
			defer srv.Close()
			lease.Update(routes.Update{State: routes.StateListening})
			got := map[string]bool{}
			for range 4 {
				got[<-answers] = true
			}
			for _, want := range []string{"200 /get ", "200 /form form", "200 /chunks form", "200 /ws "} {
				if !got[want] {
					t.Errorf("%q is missing in %v", want, got)
				}
			}
		})
	}
}

// TestRestartEnds: an app that stays down is given up after the wait, and later requests
// fail at once.
func TestRestartEnds(t *testing.T) {
	p := openPlane(t, options{Config: Config{Hold: 100 * time.Millisecond}})
	e := &env{t: t, plane: p, addr: behindFront(t, p)}
	lease := e.lease(freePort(t), routes.StateListening)
	if resp, _ := e.get("/"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("after the wait: %d", resp.StatusCode)
	}
	began := time.Now()
	if resp, _ := e.get("/"); resp.StatusCode != http.StatusBadGateway || time.Since(began) > 5*time.Second {
		t.Errorf("the next request: %d", resp.StatusCode)
	}
	lease.Update(routes.Update{State: routes.StateStarting})
	resp, _ := e.get("/")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("while it starts: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// TestRetryAfterIsTheLastStart: Retry-After tells how long the last start took.
func TestRetryAfterIsTheLastStart(t *testing.T) {
	now := time.Now()
	p := openPlane(t, options{Config: Config{Hold: time.Millisecond, Now: func() time.Time { return now }}})
	e := &env{t: t, plane: p, addr: behindFront(t, p)}
	lease := e.lease(freePort(t), routes.StateStarting)
	now = now.Add(9 * time.Second)
	lease.Update(routes.Update{State: routes.StateListening})
	if took := p.StartTime("app"); took != 9*time.Second {
		t.Errorf("the start took %v", took)
	}
}

// TestAppsOfOtherProtocols: a dev server speaks https because of its own configuration,
// or only HTTP/2.
func TestAppsOfOtherProtocols(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			c, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			c.Close()
			return
		}
		data, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, data)
	})
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	serve := map[string]func(l net.Listener){
		"Go": func(l net.Listener) { // answers plain HTTP with a 400 that says so
			srv := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: cert.TLS.Certificates}, ErrorLog: discardLog}
			srv.ServeTLS(l, "", "")
		},
		"Node": func(l net.Listener) { // closes the connection
			srv := &http.Server{Handler: handler, ErrorLog: discardLog}
			srv.Serve(tlsOnly{l, &tls.Config{Certificates: cert.TLS.Certificates, NextProtos: []string{"http/1.1"}}})
		},
		"h2c": func(l net.Listener) {
			srv := &http.Server{Handler: handler, ErrorLog: discardLog, Protocols: new(http.Protocols)}
			srv.Protocols.SetUnencryptedHTTP2(true)
			srv.Serve(l)
		},
	}

	for name, start := range serve {
		for _, first := range []string{"GET", "POST", "websocket"} {
			if name == "h2c" && first == "websocket" {
				continue // such servers do not support RFC 8441
			}
			t.Run(name+" "+first, func(t *testing.T) {
				p := openPlane(t, options{Config: Config{Hold: time.Second}})
				e := &env{t: t, plane: p, addr: behindFront(t, p)}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go start(l)
				e.lease(l.Addr().(*net.TCPAddr).Port, routes.StateListening)
				want := "HTTP/1.1 "
				if name == "h2c" {
					want = "HTTP/2.0 "
				}
				requests := map[string]func(){
					"GET": func() {
						if resp, text := e.get("/"); resp.StatusCode != 200 || text != want {
							t.Errorf("GET: %d %q", resp.StatusCode, text)
						}
					},
					"POST": func() {
						_, r := e.raw("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\n\r\nhello")
						resp, err := http.ReadResponse(r, nil)
						if err != nil {
							t.Fatal(err)
						}
						if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != want+"hello" {
							t.Errorf("POST: %d %q", resp.StatusCode, text)
						}
					},
					"websocket": func() {
						_, r := e.raw("GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
						if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
							t.Errorf("upgrade: %v, %v", resp, err)
						}
					},
				}
				requests[first]()
				for _, method := range []string{"GET", "POST"} {
					requests[method]()
				}
				if name != "h2c" {
					requests["websocket"]()
				}
			})
		}
	}
}

// tlsOnly closes connections that do not begin with a TLS record.
type tlsOnly struct {
	net.Listener
	cfg *tls.Config
}

func (l tlsOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		r := bufio.NewReader(c)
		if first, err := r.Peek(1); err != nil || first[0] != 22 {
			c.Close()
			continue
		}
		return tls.Server(peeked{c, r}, l.cfg), nil
	}
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (c peeked) Read(p []byte) (int, error) { return c.r.Read(p) }

// TestWebSocketSpelling: small servers compare the field names of RFC 6455
// case-sensitively.
func TestWebSocketSpelling(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		heads, _ := e.script("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
		e.raw("GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Websocket-Version: 13\r\nSec-WebSocket-Protocol: a\r\n\r\n")
		head := <-heads
		for _, want := range []string{"\r\nSec-WebSocket-Key: ", "\r\nSec-WebSocket-Version: 13\r\n", "\r\nSec-WebSocket-Protocol: a\r\n"} {
			if !strings.Contains(head, want) {
				t.Errorf("%q is missing in %q", want, head)
			}
		}
	})
}

// TestErrorsAreReadableByOtherApps: a page of another app can read why its request
// failed; other origins cannot.
func TestErrorsAreReadableByOtherApps(t *testing.T) {
	p := newPlane(t)
	for _, name := range []string{"web", "api"} {
		if _, err := p.Register(t.Context(), routes.Registration{Name: name, Port: freePort(t)}); err != nil {
			t.Fatal(err)
		}
	}
	for origin, want := range map[string]string{
		"http://web.localhost:48282": "http://web.localhost:48282", "https://web.localhost": "https://web.localhost",
		"http://other.localhost:48282": "", "http://web.localhost.example.com": "", "null": "", "http://user@web.localhost": "", "http://web.localhost/x": "",
	} {
		for _, address := range []string{"http://api.localhost/x", "http://missing.localhost/x"} {
			resp := get(t, p, address, http.Header{"Origin": {origin}})
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(strings.Join(resp.Header["Vary"], ","), "Origin") {
				t.Errorf("%s asks %s: %q, Vary %q", origin, address, got, resp.Header["Vary"])
			}
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("OPTIONS", "http://api.localhost/x", nil)
	r.Header = http.Header{"Origin": {"http://web.localhost:48282"}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"x-a"}}
	p.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "PUT" || w.Header().Get("Access-Control-Allow-Headers") != "x-a" || w.Body.Len() != 0 {
		t.Errorf("preflight to an app that is down: %d %v", w.Code, w.Header())
	}
}

// TestPagesAtATerminal: curl gets two lines of text.
func TestPagesAtATerminal(t *testing.T) {
	p := newPlane(t)
	resp := get(t, p, "http://shop.localhost/", http.Header{"User-Agent": {"curl/8.5.0"}, "Accept": {"*/*"}})
	text := body(t, resp)
	if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], "next: hostless run shop -- ") || resp.StatusCode != 404 {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
	resp = get(t, p, "http://shop.localhost/", http.Header{"User-Agent": {"curl/8.5.0"}, "Accept": {"application/json"}})
	if text := body(t, resp); !strings.HasPrefix(text, "{") {
		t.Errorf("curl that asks for JSON: %q", text)
	}
}

func TestHome(t *testing.T) {
	p := newPlane(t)
	if _, err := p.Register(t.Context(), routes.Registration{Name: "shop", Port: 4000}); err != nil {
		t.Fatal(err)
	}
	h := p.Home(http.NotFoundHandler())
	for _, tt := range []struct {
		path   string
		header http.Header
		status int
	}{
		{"/", http.Header{"Accept": {"text/html"}}, 200},
		{"/", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"document"}}, 200},
		{"/", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"iframe"}}, 404},
		{"/", http.Header{"Accept": {"*/*"}}, 404},
		{"/x", http.Header{"Accept": {"text/html"}}, 404},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://localhost:48282"+tt.path, nil)
		r.Header = tt.header
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s %v: %d", tt.path, tt.header, w.Code)
		}
		if text := w.Body.String(); w.Code == 200 && (!strings.Contains(text, "shop.localhost") || !strings.Contains(text, "localhost:48282/v1")) {
			t.Errorf("the page says %s", text)
		}
	}
}
