package share

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/mdns"
)

// quiet is a network without other hosts.
type quiet struct {
	closed chan struct{}
	once   sync.Once
}

func (q *quiet) Read([]byte) (int, int, netip.AddrPort, error) {
	<-q.closed
	return 0, 0, netip.AddrPort{}, net.ErrClosed
}
func (q *quiet) Multicast([]byte, int) error               { return nil }
func (q *quiet) Unicast([]byte, int, netip.AddrPort) error { return nil }
func (q *quiet) Close() error                              { q.once.Do(func() { close(q.closed) }); return nil }

// changing is a list of interfaces that a test can change.
type changing struct {
	mu   sync.Mutex
	list []mdns.Interface
}

func (c *changing) set(addrs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := mdns.Interface{Index: 1, Name: "lan0"}
	for _, a := range addrs {
		i.Addrs = append(i.Addrs, netip.MustParseAddr(a))
	}
	c.list = []mdns.Interface{i}
}

func (c *changing) get(netip.Addr) ([]mdns.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list, nil
}

// shareOnLAN shares a server on loopback addresses in place of those of a local network.
func shareOnLAN(t *testing.T, app http.Handler, scheme string) (*Session, *changing, Config) {
	t.Helper()
	daemon := httptest.NewUnstartedServer(app)
	home := t.TempDir()
	if scheme == "https" {
		own, err := certs.New(certs.Config{Dir: home, Serves: func(string) bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		daemon.TLS = own.TLSConfig()
		daemon.StartTLS()
	} else {
		daemon.Start()
	}
	t.Cleanup(daemon.Close)
	on := &changing{}
	on.set("127.0.0.1")
	c := Config{
		Way: LAN, Name: "shop", App: scheme + "://shop.localhost:48282", Daemon: daemon.Listener.Addr().(*net.TCPAddr).Port, Home: home,
		Note: t.Logf, interfaces: on.get, open: func([]mdns.Interface) (mdns.Link, error) { return &quiet{closed: make(chan struct{})}, nil },
		poll: 20 * time.Millisecond,
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s, on, c
}

// ask sends one raw request and returns the status and body of the response.
func ask(t *testing.T, address, request string) (status int, body string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

// TestLANHosts checks that a request can reach nothing but the app, whatever its Host or
// target is.
func TestLANHosts(t *testing.T) {
	s, _, _ := shareOnLAN(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "app %s %s %s", r.Host, r.URL, r.Header.Get("Origin"))
	}), "http")
	port := s.URL.Port()
	if s.URL.Hostname() != "shop.local" {
		t.Errorf("it is at %s", s.URL)
	}
	address := "127.0.0.1:" + port
	for host, want := range map[string]int{
		"shop.local:" + port: 200, "SHOP.local.:" + port: 200, "127.0.0.1:" + port: 200,
		"shop.local": 421, "shop.local:1": 421, "localhost:" + port: 421, "localhost": 421, "shop.localhost:" + port: 421, "other.localhost:" + port: 421,
		"hostless.localhost": 421, "other.local:" + port: 421, "a.shop.local:" + port: 421, "evil.example:" + port: 421, "127.0.0.2:" + port: 421, "[::1]:" + port: 421,
	} {
		status, body := ask(t, address, "GET /v1/models?a HTTP/1.1\r\nHost: "+host+"\r\nOrigin: http://shop.local:"+port+"\r\nConnection: close\r\n\r\n")
		if status != want || want == 200 && !strings.HasPrefix(body, "app shop.localhost:48282 /v1/models?a ") {
			t.Errorf("Host %s: %d %q, want %d", host, status, body, want)
		}
	}
	for request, want := range map[string]int{
		"GET http://localhost/v1/models HTTP/1.1\r\nHost: shop.local:" + port + "\r\n\r\n":              421,
		"GET http://shop.local:" + port + "/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": 200,
		"CONNECT shop.local:" + port + " HTTP/1.1\r\nHost: shop.local:" + port + "\r\n\r\n":             405,
		"TRACE / HTTP/1.1\r\nHost: shop.local:" + port + "\r\n\r\n":                                     405,
		"GET / HTTP/1.1\r\n\r\n": 400,
	} {
		if status, body := ask(t, address, request); status != want {
			t.Errorf("%q: %d %q, want %d", request, status, body, want)
		}
	}
}

// TestLANOrigins checks that origins and redirects are rewritten for each side, by name and
// by address.
func TestLANOrigins(t *testing.T) {
	s, _, _ := shareOnLAN(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Origin", r.Header.Get("Origin"))
		http.Redirect(w, r, "http://"+r.Host+"/login", http.StatusFound)
	}), "http")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, host := range []string{s.URL.Host, "127.0.0.1:" + s.URL.Port()} {
		req, _ := http.NewRequest("GET", "http://127.0.0.1:"+s.URL.Port()+"/", nil)
		req.Host = host
		req.Header.Set("Origin", "http://"+host)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Location"); got != "http://"+host+"/login" || resp.Header.Get("X-Origin") != "http://shop.localhost:48282" {
			t.Errorf("%s: redirected to %s, Origin %s", host, got, resp.Header.Get("X-Origin"))
		}
	}
}

// TestLANTLS checks that one port serves https, with a certificate of a separate authority,
// and http.
func TestLANTLS(t *testing.T) {
	s, _, c := shareOnLAN(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "app") }), "https")
	pem, err := os.ReadFile(certs.LANCertPath(c.Home))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	address := "127.0.0.1:" + s.URL.Port()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
	}
	defer transport.CloseIdleConnections()
	for _, u := range []string{s.URL.String(), "https://" + address, "http://" + s.URL.Host} {
		resp, err := (&http.Client{Transport: transport}).Get(u)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "app" || strings.HasPrefix(u, "https") && resp.ProtoMajor != 2 {
			t.Errorf("%s: %s %q", u, resp.Proto, body)
		}
	}
	own, err := certs.Load(c.Home)
	if err != nil {
		t.Fatal(err)
	}
	local := x509.NewCertPool()
	local.AddCert(own)
	if conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: local, ServerName: "shop.local"}); err == nil {
		conn.Close()
		t.Error("the authority of localhost vouches for it too")
	}
}

// TestLANMoves checks that the listeners follow the machine's addresses.
func TestLANMoves(t *testing.T) {
	s, on, _ := shareOnLAN(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "app") }), "http")
	port := s.URL.Port()
	on.set("127.0.0.1", "::1")
	reach := func(host string) bool {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	within := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil { // a machine without IPv6 has one address here
		l.Close()
		within("the new address is not served", func() bool { return reach("::1") })
		on.set("::1")
		within("the old address is still served", func() bool { return !reach("127.0.0.1") })
	}
	s.Stop()
	if reach("127.0.0.1") || reach("::1") {
		t.Error("it is reachable after its end")
	}
}

// TestGate checks that only peers on local networks are accepted.
func TestGate(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.168.1.7": true, "10.1.2.3": true, "172.16.0.1": true, "169.254.1.1": true, "fd00::7": true, "fe80::1%eth0": true, "127.0.0.1": true, "::ffff:10.0.0.1": true,
		"8.8.8.8": false, "172.32.0.1": false, "100.64.0.1": false, "2001:db8::1": false, "::ffff:8.8.8.8": false,
	} {
		a := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1))
		if got := near(a); got != want {
			t.Errorf("%s is let in: %v", addr, got)
		}
	}
	inner := &scripted{conns: make(chan net.Conn, 1)}
	g := newGate(inner, nil)
	defer g.Close()
	ours, theirs := net.Pipe()
	inner.conns <- remote{theirs, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("8.8.8.8:1"))}
	_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a stranger's connection: %v", err)
	}
}

// scripted is a listener with prepared connections.
type scripted struct{ conns chan net.Conn }

func (s *scripted) Accept() (net.Conn, error) {
	c, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (s *scripted) Close() error   { return nil }
func (s *scripted) Addr() net.Addr { return &net.TCPAddr{} }

type remote struct {
	net.Conn
	addr net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.addr }

// TestLANAddress checks that addresses outside of local networks are refused.
func TestLANAddress(t *testing.T) {
	for _, bad := range []string{"8.8.8.8", "2001:db8::1", "100.64.0.1", "10.99.88.77"} {
		if _, err := machineInterfaces(netip.MustParseAddr(bad)); err == nil {
			t.Errorf("%s is served on", bad)
		}
	}
	on, err := machineInterfaces(netip.MustParseAddr("127.0.0.1"))
	if err != nil || len(on) != 1 || len(on[0].Addrs) != 1 {
		t.Errorf("127.0.0.1: %v, %v", on, err)
	}
	if _, err := Open(t.Context(), Config{Way: "carrier-pigeon"}); err == nil {
		t.Error("an unknown way is taken")
	}
}

// TestLANNameTaken checks that a share gets another name if another host has the app's.
func TestLANNameTaken(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "shop.localhost:1"}
	l := &lan{cfg: Config{Name: "shop", Note: t.Logf}, scheme: u.Scheme}
	tried := 0
	l.cfg.open = func([]mdns.Interface) (mdns.Link, error) {
		if tried++; tried == 1 {
			return &claimed{quiet{closed: make(chan struct{})}}, nil
		}
		return &quiet{closed: make(chan struct{})}, nil
	}
	on := []mdns.Interface{{Index: 1, Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.4")}}}
	if err := l.claim(t.Context(), on); err != nil || l.host != "shop-2.local" {
		t.Fatalf("%s, %v", l.host, err)
	}
	l.name.Close()
}

// claimed is a network on which 192.168.1.9 has shop.local.
type claimed struct{ quiet }

func (c *claimed) Read(p []byte) (int, int, netip.AddrPort, error) {
	select {
	case <-c.closed:
		return 0, 0, netip.AddrPort{}, net.ErrClosed
	case <-time.After(20 * time.Millisecond):
	}
	response := "\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x04shop\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\xc0\xa8\x01\x09"
	return copy(p, response), 1, netip.MustParseAddrPort("192.168.1.9:5353"), nil
}

// TestMoved leads to the app where its daemon serves it after a restart.
func TestMoved(t *testing.T) {
	s, _, _ := shareOnLAN(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "before") }), "http")
	after := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "after ", r.Host) }))
	defer after.Close()
	port := after.Listener.Addr().(*net.TCPAddr).Port
	s.moved(fmt.Sprintf("http://shop.localhost:%d/", port))
	_, body := ask(t, "127.0.0.1:"+s.URL.Port(), "GET / HTTP/1.1\r\nHost: "+s.URL.Host+"\r\nConnection: close\r\n\r\n")
	if want := fmt.Sprintf("after shop.localhost:%d", port); body != want {
		t.Errorf("got %q, want %q", body, want)
	}
}
