package run

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/hostless/hostless/pkg/mdns"
	"github.com/hostless/hostless/test/harness"
)

// resolver queries names with multicast DNS on the loopback interface.
type resolver struct {
	t    *testing.T
	link mdns.Link
	lo   int
	seen chan dnsmessage.Resource
}

func newResolver(t *testing.T) *resolver {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		if lo, err = net.InterfaceByName("lo0"); err != nil {
			t.Fatal(err)
		}
	}
	link, err := mdns.Open([]mdns.Interface{{Index: lo.Index, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	r := &resolver{t: t, link: link, lo: lo.Index, seen: make(chan dnsmessage.Resource, 256)}
	go func() {
		p := make([]byte, 9000)
		for {
			n, _, _, err := link.Read(p)
			var m dnsmessage.Message
			if err != nil {
				return
			}
			if m.Unpack(p[:n]) == nil && m.Response {
				for _, a := range m.Answers {
					r.seen <- a
				}
			}
		}
	}()
	return r
}

// address queries a name until it has an address; "" if it has none within the limit.
func (r *resolver) address(name string, limit time.Duration) string {
	r.t.Helper()
	question := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	p, err := question.Pack()
	if err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if err := r.link.Multicast(p, r.lo); err != nil {
			r.t.Fatal(err)
		}
		again := time.After(200 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case got := <-r.seen:
				if a, ok := got.Body.(*dnsmessage.AResource); ok && got.Header.TTL > 0 && strings.EqualFold(got.Header.Name.String(), name+".") {
					return netip.AddrFrom4(a.A).String()
				}
			case <-again:
				waiting = false
			}
		}
	}
	return ""
}

// askLAN sends a request byte for byte.
func askLAN(t *testing.T, address, request string) (status int, body string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

// TestShareLAN shares one app on the local network, here the loopback interface: it is
// found by its name, and no request reaches the gateway or another app.
func TestShareLAN(t *testing.T) {
	d := harness.Start(t)
	start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	waitWithin(t, 20*time.Second, "the app", func() bool {
		status, _ := get(t, d, "shop.localhost", "/")
		return status == http.StatusOK
	})
	d.Must("alias", "other", d.Port)
	lan := start(t, d, t.TempDir(), "share", "shop", "--lan", "--ip", "127.0.0.1")
	at := regexp.MustCompile(`http://(shop(?:-\d)?\.local):(\d+)\n`)
	waitWithin(t, 30*time.Second, "its URL", func() bool { return at.MatchString(lan.output()) })
	m := at.FindStringSubmatch(lan.output())
	host, port := m[1], m[2]
	if got := newResolver(t).address(host, 20*time.Second); got != "127.0.0.1" {
		t.Errorf("%s has the address %q", host, got)
	}
	for name, want := range map[string]int{
		host + ":" + port: 200, "127.0.0.1:" + port: 200,
		"localhost": 421, "localhost:" + port: 421, "localhost:" + d.Port: 421, "shop.localhost:" + d.Port: 421, "other.localhost:" + port: 421,
		"hostless.localhost:" + port: 421, "other.local:" + port: 421, "evil.example": 421,
	} {
		for _, path := range []string{"/", "/v1/models", "/routes", "/auth/token", "/health", "/callback"} {
			status, body := askLAN(t, "127.0.0.1:"+port, "GET "+path+" HTTP/1.1\r\nHost: "+name+"\r\nConnection: close\r\n\r\n")
			if status != want || want == 200 && !strings.HasPrefix(body, "sk_local_") {
				t.Errorf("%s as %s: %d %q, want %d", path, name, status, body, want)
			}
		}
	}
	waitWithin(t, 5*time.Second, "the list", func() bool { return strings.Contains(d.Must("list"), "http://"+host+":"+port) })
	if r := d.CLI("doctor"); !strings.Contains(r.Stdout, "on the local network") {
		t.Errorf("doctor does not name it: %s", r.Stdout)
	}
	second := start(t, d, t.TempDir(), "share", "other", "--lan", "--ip", "127.0.0.1")
	waitWithin(t, 30*time.Second, "another app", func() bool { return strings.Contains(second.output(), "http://other") })
	for _, s := range []*started{lan, second} {
		if code := s.end(syscall.SIGINT); code != 0 {
			t.Errorf("exit %d at Ctrl-C: %s", code, s.output())
		}
	}
	if c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second); err == nil {
		c.Close()
		t.Error("it is reachable after its end")
	}
	if out := d.Must("list"); strings.Contains(out, ".local:"+port) {
		t.Errorf("still listed: %s", out)
	}
	for args, want := range map[string]string{
		"share shop --lan --ip 8.8.8.8":              "not an address of a local network",
		"share shop --lan --ip 10.99.88.77":          "has no address 10.99.88.77",
		"share shop --lan --ip x":                    "is not an IP address",
		"share shop --ngrok --ip 127.0.0.1":          "requires --lan",
		"run shop2 --share pigeon -- true":           "way of sharing",
		"run shop2 --tailscale --funnel -- true":     "the same port of the same tool",
		"run --all --lan":                            "is for one app",
		"proxy start --lan":                          "hostless share NAME --lan",
		"run shop3 --share cloudflared -- echo runs": "cloudflared is not installed",
	} {
		env := d.Env
		d.Env = append(env[:len(env):len(env)], "PATH="+t.TempDir()+":/usr/bin:/bin")
		r := d.CLI(strings.Fields(args)...)
		d.Env = env
		if r.Code == 0 || !strings.Contains(r.Stderr, want) || strings.Contains(r.Stdout, "runs") {
			t.Errorf("%s: exit %d, %q; want %q", args, r.Code, r.Stderr, want)
		}
	}
}

// TestRunShared shares an app for as long as it runs, and the app learns its URL.
func TestRunShared(t *testing.T) {
	d := harness.Start(t)
	dir := t.TempDir()
	fakeTool(t, dir, "cloudflared", tunnels[0].prints)
	fakeTool(t, dir, "ngrok", tunnels[1].prints)
	d.Env = append(d.Env, "PATH="+dir+":"+os.Getenv("PATH"), "HOSTLESS_LAN_IP=127.0.0.1")
	for _, tt := range []struct {
		args []string
		urls map[string]string // variable → pattern
	}{
		{[]string{"run", "pair", "--share", "lan,cloudflared", "--", "sh", "-c"}, map[string]string{
			"HOSTLESS_SHARE_URL": `http://pair(-\d)?\.local:\d+`, "HOSTLESS_LAN_URL": `http://pair(-\d)?\.local:\d+`, "HOSTLESS_CLOUDFLARED_URL": `https://quick-fox\.trycloudflare\.com`,
		}},
		{[]string{"pub", "--ngrok", "sh", "-c"}, map[string]string{"HOSTLESS_SHARE_URL": `https://abcd\.ngrok-free\.app`, "HOSTLESS_NGROK_URL": `https://abcd\.ngrok-free\.app`}},
	} {
		s := start(t, d, t.TempDir(), append(tt.args, "env; exec "+self(t)+" __app")...)
		waitWithin(t, 30*time.Second, "the app", func() bool { return strings.Contains(s.output(), "is ready") })
		shown := d.Must("list")
		for variable, pattern := range tt.urls {
			m := regexp.MustCompile(`(?m)^` + variable + `=(` + pattern + `)$`).FindStringSubmatch(s.output())
			if m == nil {
				t.Errorf("%v: %s is not there", tt.args, variable)
				continue
			}
			u, _ := url.Parse(m[1])
			if !strings.Contains(shown, u.Host) {
				t.Errorf("%s is not listed: %s", u, shown)
			}
			if u.Scheme == "http" {
				status, body := askLAN(t, "127.0.0.1:"+u.Port(), fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", u.Host))
				if status != http.StatusOK || !strings.HasPrefix(body, "sk_local_") {
					t.Errorf("%s: %d %q", u, status, body)
				}
			}
		}
		s.end(syscall.SIGINT)
		if left := s.left(); len(left) > 0 {
			t.Errorf("%v: still runs: %v", tt.args, left)
		}
	}
}
