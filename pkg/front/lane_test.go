package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/test/harness"
)

func TestPlainHead(t *testing.T) {
	const host = "Host: a.localhost\r\n"
	for _, test := range []struct {
		name, head string
		want       bool
	}{
		{"plain", "GET / HTTP/1.1\r\n" + host + "\r\n", true},
		{"a port, other case, fields", "HEAD /a?b=c;d HTTP/1.1\r\nhOsT:\tA.LOCALHOST.:48282 \r\nX-Empty:\r\nX-A: \xc3\xbc\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"no host", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n", false},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", false},
		{"the gateway's", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", true},
		{"a foreign host", "GET / HTTP/1.1\r\nHost: a.localhost.evil\r\n\r\n", false},
		{"a body", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\n", true},
		{"a length", "GET / HTTP/1.1\r\n" + host + "content-Length: 0\r\n\r\n", true},
		{"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", false},
		{"a list of lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 1\r\n\r\n", false},
		{"a signed length", "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\n", false},
		{"no length", "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n", false},
		{"a huge length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", false},
		{"a length and chunks", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"HTTP/2 settings", "GET / HTTP/1.1\r\n" + host + "HTTP2-Settings: x\r\n\r\n", false},
		{"chunks", "GET / HTTP/1.1\r\n" + host + "Transfer-encoding: chunked\r\n\r\n", false},
		{"an upgrade", "GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\n\r\n", false},
		{"an expectation", "GET / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\n\r\n", false},
		{"the last request", "GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", false},
		{"a field for one hop", "GET / HTTP/1.1\r\n" + host + "Connection: keep-alive, x\r\n\r\n", false},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + host + "\r\n", false},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", false},
		{"another's target", "GET http://b.localhost/ HTTP/1.1\r\n" + host + "\r\n", false},
		{"a star", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", false},
		{"a tunnel", "CONNECT a.localhost:1 HTTP/1.1\r\n" + host + "\r\n", false},
		{"trace", "TRACE / HTTP/1.1\r\n" + host + "\r\n", false},
		{"two spaces", "GET /  HTTP/1.1\r\n" + host + "\r\n", false},
		{"a tab in the target", "GET /\t HTTP/1.1\r\n" + host + "\r\n", false},
		{"a lone LF", "GET / HTTP/1.1\n" + host + "\r\n", false},
		{"a CR within", "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n", false},
		{"a NUL within", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", false},
		{"a folded field", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", false},
		{"a space before the colon", "GET / HTTP/1.1\r\nHost : a.localhost\r\n\r\n", false},
		{"no name", "GET / HTTP/1.1\r\n" + host + ": x\r\n\r\n", false},
		{"no colon", "GET / HTTP/1.1\r\n" + host + "x\r\n\r\n", false},
		{"no end", "GET / HTTP/1.1\r\n" + host, false},
		{"more than a head", "GET / HTTP/1.1\r\n" + host + "\r\nGET", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plainHead([]byte(test.head)); got != test.want {
				t.Errorf("plainHead(%q) = %v", test.head, got)
			}
		})
	}
}

// FuzzPlainHead compares plainHead with net/http: a head that a lane accepts must be the
// same request for net/http's server.
func FuzzPlainHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n"))
	f.Add([]byte("HEAD /0 HTTP/1.1\r\nhost:localhost\r\n\r\n"))
	f.Add([]byte("HEAD /a?b HTTP/1.1\r\nhost:b.A.localhost:1\r\nConnection: keep-alive\r\nX: \xff\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if !plainHead(head) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			return // net/http responds to it
		}
		if r.ContentLength < 0 || len(r.TransferEncoding) > 0 || r.Close || r.Header.Get("Upgrade") != "" || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 {
			t.Errorf("%q is not plain: %+v", head, r)
		}
		if (r.ContentLength == 0) != (r.Body == http.NoBody) {
			t.Errorf("%q has length %d and another body", head, r.ContentLength)
		}
		if p, _ := classify(r.Host); p != appsPlane && p != gatewayPlane {
			t.Errorf("%q is for %q", head, r.Host)
		}
		raw, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(head[bytes.IndexByte(head, '\n')+1:]))).ReadMIMEHeader()
		if err != nil || len(raw["Host"]) != 1 {
			t.Errorf("%q has hosts %q: %v", head, raw["Host"], err)
		}
	})
}

// laneAnswers are handlers whose responses must be the same from a lane and from net/http's
// server.
var laneAnswers = map[string]http.HandlerFunc{
	"/nothing": func(http.ResponseWriter, *http.Request) {},
	"/short":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "short") },
	"/typed": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/x")
		w.Header()["X-Two"] = []string{"a", "b"}
		w.Header()["X-None"] = nil
		w.WriteHeader(404)
		io.WriteString(w, "a")
		io.WriteString(w, "b")
	},
	"/injected": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", "a\r\nY: b") },
	"/long": func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			io.WriteString(w, strings.Repeat("0123456789", 100))
		}
	},
	"/long-known": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		for range 100 {
			io.WriteString(w, strings.Repeat("0123456789", 100))
		}
	},
	"/copied": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.WriteHeader(200)
		io.Copy(w, strings.NewReader(strings.Repeat("x", 100000)))
	},
	"/flushed": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		io.WriteString(w, "b")
	},
	"/flushed-first": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
	"/no-content": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(204)
		if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	},
	"/not-modified": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Etag", `"x"`); w.WriteHeader(304) },
	"/too-much": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		if _, err := io.WriteString(w, "abc"); err == nil {
			panic("taken")
		}
	},
	"/too-little": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		io.WriteString(w, "abc")
	},
	"/interim": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		io.WriteString(w, "x")
	},
	"/trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "x")
		w.Header().Set("X-Sum", "1")
	},
	"/trailers-late": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	},
	"/last": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "x")
	},
	"/broken": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	},
	"/broken-known": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	},
	"/broken-early": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"/twice":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) },
}

func TestLaneAnswersAsNetHTTPDoes(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil // the lane does not detect a content type
		laneAnswers[r.URL.Path](w, r)
	})
	lane := start(t, Config{Apps: handler})
	stock := httptest.NewUnstartedServer(handler)
	stock.Config.ErrorLog = log.New(io.Discard, "", 0)
	stock.Start()
	defer stock.Close()
	for path := range laneAnswers {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+path, func(t *testing.T) {
				var got [2][]string
				for i, addr := range []string{lane.addr, stock.Listener.Addr().String()} {
					c, r := dial(t, addr)
					// The second request shows whether the connection was kept.
					fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a.localhost\r\n\r\n", method, path)
					got[i] = append(answer(r, method), "then")
					fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n", method, path)
					got[i] = append(got[i], answer(r, method)...)
				}
				if diff := cmp.Diff(got[1], got[0]); diff != "" {
					t.Errorf("not as net/http (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// answer reads a response, including interim ones, and describes it.
func answer(r *bufio.Reader, method string) (seen []string) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return []string{"no answer"}
	}
	if resp.StatusCode < 200 {
		return append(append([]string{resp.Status}, headers(resp.Header)...), answer(r, method)...)
	}
	body, err := io.ReadAll(resp.Body)
	seen = append([]string{resp.Status, fmt.Sprint(resp.ContentLength, resp.TransferEncoding, resp.Close, len(body), err != nil)}, headers(resp.Header)...)
	return append(append(seen, fmt.Sprintf("%.300s", body)), headers(resp.Trailer)...)
}

func headers(h http.Header) (lines []string) {
	for name, values := range h {
		if name == "Date" {
			values = []string{"now"}
		}
		lines = append(lines, fmt.Sprintf("%s: %q", name, values))
	}
	slices.Sort(lines)
	return lines
}

// TestLaneGivesWay sends requests of both kinds on one connection, at once and in pieces.
// The responses must be complete and in order.
func TestLaneGivesWay(t *testing.T) {
	s := start(t, Config{Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %v", r.Method, r.RequestURI, body, err)
	})})
	plain := func(n int) string { return fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a.localhost\r\n\r\n", n) }
	long := func(size int) string {
		return "GET /long HTTP/1.1\r\nHost: a.localhost\r\nX-Long: " + strings.Repeat("x", size) + "\r\n\r\n"
	}
	for _, test := range []struct {
		name string
		send []string // with pauses between them
		want []string
	}{
		{"pipelined", []string{plain(1) + plain(2) + plain(3)}, []string{`GET /1 "" <nil>`, `GET /2 "" <nil>`, `GET /3 "" <nil>`}},
		{"a body between", []string{plain(1) + "POST /p HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 3\r\n\r\nabc" + plain(2)}, []string{`GET /1 "" <nil>`, `POST /p "abc" <nil>`, `GET /2 "" <nil>`}},
		{"a body in pieces", []string{"POST /p HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 6\r\n\r\nab", "cd", "ef" + plain(2)}, []string{`POST /p "abcdef" <nil>`, `GET /2 "" <nil>`}},
		{"a body that ends early", []string{"POST /p HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 6\r\n\r\nab", ""}, []string{`POST /p "ab" unexpected EOF`}},
		{"chunks between", []string{plain(1) + "POST /p HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}, []string{`GET /1 "" <nil>`, `POST /p "abc" <nil>`}},
		{"in pieces", []string{plain(1), plain(2)[:9], plain(2)[9:]}, []string{`GET /1 "" <nil>`, `GET /2 "" <nil>`}},
		{"the first in pieces", []string{"G", plain(2)[1:]}, []string{`GET /2 "" <nil>`}},
		{"a long head", []string{plain(1) + long(5000) + plain(2)}, []string{`GET /1 "" <nil>`, `GET /long "" <nil>`, `GET /2 "" <nil>`}},
		{"a very long head", []string{plain(1) + long(40000) + plain(2)}, []string{`GET /1 "" <nil>`, `GET /long "" <nil>`, `GET /2 "" <nil>`}},
		{"the other plane", []string{plain(1) + "GET /g HTTP/1.1\r\nHost: localhost\r\n\r\n" + plain(2)}, []string{`GET /1 "" <nil>`, "gateway localhost /g /g", `GET /2 "" <nil>`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, r := dial(t, s.addr)
			go func() {
				for i, piece := range test.send {
					if i > 0 {
						time.Sleep(20 * time.Millisecond)
					}
					io.WriteString(c, piece)
					if piece == "" {
						c.(*net.TCPConn).CloseWrite()
					}
				}
			}()
			for _, want := range test.want {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); string(got) != want || err != nil {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
		})
	}
}

func TestLaneRefusesAsTheGateDoes(t *testing.T) {
	s := start(t, Config{Peer: func(net.Conn) (int, error) { return 7, errors.New("another's") }})
	c, r := dial(t, s.addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusForbidden || !resp.Close {
		t.Errorf("got %v, %v", resp, err)
	}
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "uid 7") || !strings.Contains(string(body), "hostless config set allowed-uids 7") {
		t.Errorf("the refused user and the command that helps are not in %s", body)
	}
}

// TestGuestsReachApps checks that a guest reaches apps and never the gateway.
func TestGuestsReachApps(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s := start(t, Config{
		Apps: ok, Gateway: ok,
		Peer:  func(net.Conn) (int, error) { return 7, errors.New("another's") },
		Guest: func(uid int) bool { return uid == 7 },
	})
	for host, want := range map[string]int{"a.localhost": http.StatusTeapot, "localhost": http.StatusForbidden, "127.0.0.1": http.StatusForbidden} {
		c, r := dial(t, s.addr)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s: got %v, %v, want %d", host, resp, err, want)
		}
	}
}

// TestEagerPeerCheck opens more connections than another user may hold without sending a
// request. The log must mention it once.
func TestEagerPeerCheck(t *testing.T) {
	var logged bytes.Buffer
	var asked atomic.Int32
	s := start(t, Config{
		Peer:   func(net.Conn) (int, error) { asked.Add(1); return 7, errors.New("another's") },
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	const more = 5
	for range eagerPeerCheckConns + more {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			harness.Missing(t, "too few descriptors: ", err)
		}
		defer c.Close()
	}
	// The order of the lanes decides which ones are closed, but not how many remain.
	deadline := time.Now().Add(20 * time.Second)
	for asked.Load() < more || s.open.Load() > eagerPeerCheckConns {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, %d peers were checked", s.open.Load(), asked.Load())
		}
		time.Sleep(time.Millisecond)
	}
	s.stop()
	if n := strings.Count(logged.String(), "connection refused"); n != 1 {
		t.Errorf("refused connections are logged %d times:\n%s", n, &logged)
	}
}

// TestClientsThatLeave checks for both servers that a client which disconnects cancels its
// request, and that one which only closes its sending side gets its response.
func TestClientsThatLeave(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan error, 1)
	release := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		select {
		case <-r.Context().Done():
			ended <- r.Context().Err()
		case <-release:
			io.WriteString(w, "whole")
		}
	})
	looked := make(chan struct{}, 1) // one value for each lookup of the peer
	s := start(t, Config{Apps: h, Gateway: h, Peer: func(c net.Conn) (int, error) {
		select {
		case looked <- struct{}{}:
		default:
		}
		return peer.TCPOwner(c)
	}})
	for name, request := range map[string]string{
		"lane":      "GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n",
		"net/http":  "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"with body": "POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 2\r\n\r\nhi",
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := dial(t, s.addr)
			io.WriteString(c, request)
			<-entered
			c.Close()
			if err := within(t, ended); !errors.Is(err, context.Canceled) {
				t.Errorf("ended by %v", err)
			}

			if probe, r := dial(t, s.addr); true {
				if _, err := peer.TCPOwner(probe); errors.Is(err, peer.ErrUnsupported) {
					if runtime.GOOS == "linux" {
						t.Fatal(err)
					}
					t.Skip("this system does not report the owner of a connection:", err) // fails on Linux, above
				}
				io.WriteString(probe, request)
				<-entered
				probe.(*net.TCPConn).CloseWrite()
				for range 3 { // the first may be from an earlier lookup
					select {
					case err := <-ended:
						t.Fatalf("a waiting client was treated as disconnected: %v", err)
					case <-looked:
					}
				}
				release <- struct{}{}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(resp.Body); string(text) != "whole" || err != nil {
					t.Errorf("got %q, %v", text, err)
				}
			}

			last, _ := dial(t, s.addr)
			io.WriteString(last, request)
			<-entered
			last.(*net.TCPConn).CloseWrite()
			for range 3 {
				within(t, looked)
			}
			last.Close()
			if err := within(t, ended); !errors.Is(err, context.Canceled) {
				t.Errorf("ended by %v", err)
			}
		})
	}
}

// within receives a value that must arrive soon.
func within[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("timeout: nothing was received")
	}
	return v
}

// TestWatchedConnectionsLiveOn checks that a connection is kept after requests that took
// long enough to be watched.
func TestWatchedConnectionsLiveOn(t *testing.T) {
	s := start(t, Config{Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * watchFrom / 2)
		io.WriteString(w, r.RequestURI)
	})})
	c, r := dial(t, s.addr)
	for i := range 5 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a.localhost\r\n\r\n", i)
		if i == 3 { // bytes that were sent ahead must not be lost to the watch
			time.Sleep(watchFrom)
			fmt.Fprintf(c, "GET /ahead HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(resp.Body); string(text) != fmt.Sprintf("/%d", i) && string(text) != "/ahead" {
			t.Errorf("request %d: %q", i, text)
		}
	}
}

// starving is a listener that fails at first, for lack of file descriptors.
type starving struct {
	net.Listener
	times int
}

func (l *starving) Accept() (net.Conn, error) {
	if l.times > 0 {
		l.times--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptOutlivesWant(t *testing.T) {
	s, err := New(Config{Gateway: namedPlane("g"), Apps: namedPlane("a")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, &starving{Listener: l, times: 3}) }()
	for _, host := range []string{"localhost", "a.localhost"} {
		c, r := dial(t, l.Addr().String())
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v, %v", host, resp, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDrainEndsLanes has connections in each state when the server shuts down.
func TestDrainEndsLanes(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	s := start(t, Config{CloseDelay: 500 * time.Millisecond, Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		io.WriteString(w, r.URL.Path)
	})})
	t.Cleanup(let) // otherwise nothing would end after a failure
	const plain = "GET /x HTTP/1.1\r\nHost: a.localhost\r\n\r\n"
	slow, slowReader := dial(t, s.addr)
	io.WriteString(slow, strings.Replace(plain, "/x", "/slow", 1))
	idle, idleReader := dial(t, s.addr)
	kept, keptReader := dial(t, s.addr)
	for _, c := range []struct {
		net.Conn
		*bufio.Reader
	}{{idle, idleReader}, {kept, keptReader}} {
		io.WriteString(c.Conn, plain)
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	fresh, freshReader := dial(t, s.addr)
	gateway, gatewayReader := dial(t, s.addr)
	<-entered
	for s.open.Load() < 5 { // connections that wait to be accepted are lost with the listener
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for !s.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	answered := func(name string, r *bufio.Reader) {
		t.Helper()
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil || !resp.Close {
			t.Errorf("%s: %v, close %v", name, err, resp.Close)
		}
	}
	io.WriteString(kept, plain)
	answered("kept", keptReader)
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection ended by %v", err)
	}
	io.WriteString(fresh, plain) // within the grace period for a first request
	answered("fresh", freshReader)
	io.WriteString(gateway, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answered("gateway", gatewayReader)
	let()
	answered("slow", slowReader)
	if err := within(t, stopped); err != nil {
		t.Error(err)
	}
}

// TestBodyIsNoRequest checks that an unread part of a request body, or of an announced
// length, is not read as the next request or response.
func TestBodyIsNoRequest(t *testing.T) {
	for path, answer := range map[string]http.HandlerFunc{
		"unread": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "first") },
		"short": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "400")
			io.WriteString(w, "first")
		},
	} {
		t.Run(path, func(t *testing.T) {
			var smuggled atomic.Int32
			s := start(t, Config{Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/first" {
					answer(w, r)
					return
				}
				smuggled.Add(1)
				io.WriteString(w, "second")
			})})
			within := "GET /second HTTP/1.1\r\nHost: a.localhost\r\n\r\n"
			after := ""
			if path == "short" {
				after = within
			}
			c, _ := dial(t, s.addr)
			fmt.Fprintf(c, "POST /first HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: %d\r\n\r\n%s%s", len(within), within, after)
			got, err := io.ReadAll(c)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) || smuggled.Load() != 0 || !bytes.HasSuffix(got, []byte("first")) {
				t.Errorf("the next request was read %d times: %q, %v", smuggled.Load(), got, err)
			}
		})
	}
}

// TestLaneContextEndsWithItsRequest checks that the context of a gateway request is
// cancelled at its end, although the connection is kept.
func TestLaneContextEndsWithItsRequest(t *testing.T) {
	ended := make(chan struct{}, 2)
	s := start(t, Config{Gateway: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { ended <- struct{}{} })
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	})})
	c, r := dial(t, s.addr)
	for range 2 {
		io.WriteString(c, "POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		within(t, ended)
	}
}

// TestLaneTellsLocalAddress checks that a lane sets the local address, which is needed to
// look up the peer.
func TestLaneTellsLocalAddress(t *testing.T) {
	seen := make(chan any, 1)
	gateway := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Context().Value(http.LocalAddrContextKey)
	})
	s := start(t, Config{Gateway: gateway, Apps: gateway})
	resp, err := http.Get("http://" + s.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if addr, ok := (<-seen).(net.Addr); !ok || addr.String() != s.addr {
		t.Errorf("local address %v, want %s", addr, s.addr)
	}
}
