package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/front"
	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/test/harness"
)

// bothTransports runs a test with this package's transport, with net/http's, and with
// this package's behind the daemon's server.
func bothTransports(t *testing.T, test func(t *testing.T, e *env)) {
	for _, way := range []string{"direct", "std", "front"} {
		t.Run(way, func(t *testing.T) {
			p := openPlane(t, options{Config: Config{URL: func(h string) string { return "http://" + h }, Hold: 100 * time.Millisecond}, Std: way == "std"})
			e := &env{t: t, plane: p, std: way == "std"}
			if way == "front" {
				e.addr = behindFront(t, p)
			} else {
				srv := httptest.NewUnstartedServer(p)
				srv.Config.ErrorLog = log.New(io.Discard, "", 0)
				srv.Start()
				t.Cleanup(func() {
					p.Close()
					srv.CloseClientConnections()
					srv.Close()
				})
				e.addr = srv.Listener.Addr().String()
			}
			test(t, e)
		})
	}
}

// behindFront serves a plane the way the daemon does.
func behindFront(t *testing.T, p *plane) (addr string) {
	t.Helper()
	s, err := front.New(front.Config{Gateway: http.NotFoundHandler(), Apps: p, CloseDelay: time.Millisecond, Drain: time.Millisecond, UpgradeGrace: time.Millisecond,
		Peer: peer.TCPOwner})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		p.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

var discardLog = log.New(io.Discard, "", 0)

type env struct {
	t     *testing.T
	plane *plane
	addr  string
	std   bool
}

// app registers h as app.localhost.
func (e *env) app(h http.HandlerFunc) *httptest.Server {
	e.t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	e.t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	e.register(srv.Listener.Addr().String())
	return srv
}

func (e *env) register(target string) {
	e.t.Helper()
	if _, err := e.plane.Register(e.t.Context(), routes.Registration{Name: "app", Target: target}); err != nil {
		e.t.Fatal(err)
	}
}

// script registers an app that sends one of the given byte sequences per request and
// closes the connection after the last. It returns the heads of the requests.
func (e *env) script(answers ...string) (heads chan string, conns *atomic.Int32) {
	e.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { l.Close() })
	heads, conns = make(chan string, 100), new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for _, answer := range answers {
					head := ""
					for {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						head += line
						if line == "\r\n" {
							break
						}
					}
					heads <- head
					io.WriteString(c, answer)
				}
			}()
		}
	}()
	e.register(l.Addr().String())
	return heads, conns
}

// raw sends bytes on a new connection and returns it with a reader.
func (e *env) raw(text string) (net.Conn, *bufio.Reader) {
	e.t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text)
	return c, bufio.NewReader(c)
}

func (e *env) client() *http.Client {
	tr := &http.Transport{DisableCompression: true, ExpectContinueTimeout: 10 * time.Second, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", e.addr)
	}}
	e.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (e *env) get(path string) (*http.Response, string) {
	e.t.Helper()
	resp, err := e.client().Get("http://app.localhost" + path)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp, string(text)
}

func TestTargetsAreByteIdentical(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		heads, _ := e.script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		for _, uri := range []string{
			"/", "/a%2Fb", "/a%2fb%20c", "/?a=1;b=2&c=%zz", "/?", "/x?y?z", "/%7Euser/~user", "/a/../b/./c", "/a;v=1,2=3", "/a|b", "/[x]{y}", "/'\"<>", "/ü",
			"/@fs/home/x.ts?t=123&import", "/*", "/a:b", "//double//slash",
		} {
			if e.std && strings.HasPrefix(uri, "//") {
				continue // net/http cannot send it
			}
			_, r := e.raw("GET " + uri + " HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %v, %v", uri, resp, err)
			}
			got, _, _ := strings.Cut(<-heads, "\r\n")
			if want := "GET " + uri + " HTTP/1.1"; got != want {
				t.Errorf("app got %q, want %q", got, want)
			}
		}
	})
}

func TestRequestHeaders(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		heads, _ := e.script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_, r := e.raw("GET / HTTP/1.1\r\nHost: App.localhost:48282\r\nCookie: a=1\r\nX-Dup: one\r\nX-Dup: two\r\nX-Empty:\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n" +
			"Keep-Alive: 5\r\nTE: trailers, gzip\r\nProxy-Authorization: x\r\nProxy-Connection: y\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n" +
			"X-Forwarded-Proto: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Evil: 1\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Hostless-Hops: 2\r\nUpgrade: h2c\r\n\r\n")
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		mime, err := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.SplitN(<-heads, "\r\n", 2)[1]))).ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		host := "App.localhost:48282"
		want := map[string]string{
			"Host": host, "Cookie": "a=1", "X-Dup": "one|two", "X-Empty": "", "Te": "trailers", "X-Forwarded-For": "127.0.0.1",
			"X-Forwarded-Host": host, "X-Forwarded-Proto": "http", "X-Forwarded-Port": "48282", "X-Hostless-Hops": "3",
			"Forwarded": `for=127.0.0.1;host="` + host + `";proto=http`,
		}
		for name, values := range mime {
			if w, ok := want[name]; !ok || w != strings.Join(values, "|") {
				t.Errorf("app got %s: %q, want %q %v", name, values, w, ok)
			}
			delete(want, name)
		}
		if len(want) > 0 {
			t.Errorf("app did not get %v", want)
		}
	})
}

func TestAnswers(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		for _, tt := range []struct {
			name, method, answer string
			status               int
			body                 string
			header, trailer      http.Header
			cut                  bool
		}{
			{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", http.Header{"Content-Length": {"5"}, "Content-Type": nil}, nil, false},
			{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, "hello", nil, nil, false},
			{"trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Late: 2\r\n\r\n", 200, "hello", nil, http.Header{"X-Sum": {"1"}, "X-Late": {"2"}}, false},
			{"late trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Late: 2\r\n\r\n", 200, "hello", nil, http.Header{"X-Late": {"2"}}, false},
			{"until close", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", nil, nil, false},
			{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", http.Header{"Content-Length": {"5"}}, nil, false},
			{"204", "GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", 204, "", http.Header{"X-A": {"b"}, "Content-Length": nil}, nil, false},
			{"304", "GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n", 304, "", http.Header{"Etag": {`"x"`}}, nil, false},
			{"206", "GET", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nel", 206, "el", http.Header{"Content-Range": {"bytes 1-2/5"}}, nil, false},
			{"cookies", "GET", "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n", 200, "", http.Header{"Set-Cookie": {"a=1", "b=2"}}, nil, false},
			{"hop by hop", "GET", "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n", 200, "",
				http.Header{"X-Hop": nil, "Keep-Alive": nil, "Proxy-Authenticate": nil, "X-A": {"1"}}, nil, false},
			{"redirect", "GET", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, "", http.Header{"Location": {"http://127.0.0.1:1/"}}, nil, false},
			{"odd status", "GET", "HTTP/1.1 599 Whatever\r\nContent-Length: 0\r\n\r\n", 599, "", nil, nil, false},
			{"encoded", "GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", http.Header{"Content-Encoding": {"gzip"}}, nil, false},
			{"folded", "GET", "HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\nContent-Length: 0\r\n\r\n", 200, "", http.Header{"X-A": {"b c"}}, nil, false},
			{"same length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 200, "ab", http.Header{"Content-Length": {"2"}}, nil, false},
			{"length and chunks", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, "a", nil, nil, false},
			{"cut length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 200, "hel", nil, nil, true},
			{"cut chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 200, "hel", nil, nil, true},
			{"cut between chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", 200, "hel", nil, nil, true},
			{"bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nzz\r\n", 200, "hel", nil, nil, true},
			{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 502, "", nil, nil, false},
			{"no HTTP", "GET", "Unauthorized", 502, "", nil, nil, false},
			{"nothing", "GET", "", 502, "", nil, nil, false},
			{"half a head", "GET", "HTTP/1.1 200 OK\r\nX-A", 502, "", nil, nil, false},
			{"other coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", 502, "", nil, nil, false},
			{"101 unasked", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", 502, "", nil, nil, false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if e.std && tt.name == "101 unasked" {
					t.Skip("net/http passes it through") // our transport is tested in the other run
				}
				e.script(tt.answer)
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://app.localhost/", nil)
				resp, err := e.client().Do(req)
				if err != nil {
					if tt.cut {
						return
					}
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if (err != nil) != tt.cut {
					t.Errorf("body ends with %v, cut: %v", err, tt.cut)
				}
				if resp.StatusCode != tt.status || tt.status != 502 && string(text) != tt.body {
					t.Errorf("%d %q, want %d %q", resp.StatusCode, text, tt.status, tt.body)
				}
				for name, want := range tt.header {
					if got := resp.Header[name]; strings.Join(got, "|") != strings.Join(want, "|") {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				for name, want := range tt.trailer {
					if got := resp.Trailer[name]; strings.Join(got, "|") != strings.Join(want, "|") && !(e.std && name == "X-Late") {
						t.Errorf("trailer %s: %q, want %q", name, got, want)
					}
				}
			})
		}
	})
}

func TestBodies(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.app(func(w http.ResponseWriter, r *http.Request) {
			sum := sha256.New()
			n, err := io.Copy(sum, r.Body)
			fmt.Fprintf(w, "%d %d %v %x %v %v", n, r.ContentLength, r.TransferEncoding, sum.Sum(nil), err, r.Trailer.Get("X-Sum"))
		})
		for _, size := range []int{0, 1, 1000, 32 << 10, 100 << 10, 5 << 20} {
			for _, chunked := range []bool{false, true} {
				data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				var body io.Reader = bytes.NewReader(data)
				length, coding, sum := fmt.Sprint(size), "[]", ""
				if chunked {
					body, length, coding = io.MultiReader(body), "-1", "[chunked]"
				}
				req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://app.localhost/", body)
				if chunked {
					req.ContentLength = -1
					req.Trailer = http.Header{"X-Sum": {"42"}}
					sum = "42"
				}
				resp, err := e.client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := fmt.Sprintf("%d %s %s %x <nil> %s", size, length, coding, sha256.Sum256(data), sum); string(got) != want {
					t.Errorf("%d bytes, chunked %v: app says %s, want %s", size, chunked, got, want)
				}
			}
		}
	})
}

// TestLongAnswers: long bodies arrive complete, whether copied through memory or in the
// kernel.
func TestLongAnswers(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	bothTransports(t, func(t *testing.T, e *env) {
		e.app(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/length" {
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			}
			w.Write(data)
		})
		client := e.client()
		for range 3 {
			for _, path := range []string{"/length", "/chunked"} {
				resp, err := client.Get("http://app.localhost" + path)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes, %v", path, len(got), err)
				}
			}
		}
	})
}

func TestInterimAnswers(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.script("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nX-Final: 1\r\nContent-Length: 0\r\n\r\n")
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		}})
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://app.localhost/", nil)
		resp, err := e.client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if fmt.Sprint(hints) != "[103</a.css>]" || resp.Header.Get("Link") != "" || resp.Header.Get("X-Final") != "1" {
			t.Errorf("%v, %v", hints, resp.Header)
		}
	})
}

func TestExpect(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.app(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(http.StatusExpectationFailed)
				return
			}
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Header.Get("Expect"), b)
		})
		c, r := e.raw("POST /yes HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		line, _ := r.ReadString('\n')
		if !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("first line %q", line)
		}
		r.ReadString('\n')
		io.WriteString(c, "body")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != "100-continue body" {
			t.Errorf("app says %q", got)
		}
		_, r = e.raw("POST /no HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		resp, err = http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusExpectationFailed {
			t.Fatalf("%v, %v: the body was requested", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("after a refusal: %v, want the connection's end", err)
		}
	})
}

// TestEarlyReply: an app may respond while the client is still sending.
func TestEarlyReply(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.script("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
		for _, framing := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
			_, r := e.raw("POST / HTTP/1.1\r\nHost: app.localhost\r\n" + framing + "\r\n\r\n4\r\nbody\r\n")
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if resp.StatusCode != 413 || string(got) != "too much" || err != nil || !resp.Close {
				t.Errorf("%s: %d %q %v, close %v", framing, resp.StatusCode, got, err, resp.Close)
			}
		}
	})
}

// TestBothWaysAtOnce: an app may echo a body while it is being sent.
func TestBothWaysAtOnce(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.app(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			rc.EnableFullDuplex()
			rc.Flush()
			buf := make([]byte, 10)
			for {
				n, err := r.Body.Read(buf)
				w.Write(buf[:n])
				rc.Flush()
				if err != nil {
					return
				}
			}
		})
		c, r := e.raw("POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		for _, word := range []string{"one", "two", "three"} {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(word), word)
			if n, err := io.ReadFull(resp.Body, buf[:len(word)]); err != nil || string(buf[:n]) != word {
				t.Fatalf("%q, %v", buf[:n], err)
			}
		}
		io.WriteString(c, "0\r\n\r\n")
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestEventsArriveAsTheyAreMade(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		next := make(chan bool)
		e.app(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
			if length := r.URL.Query().Get("length"); length != "" {
				w.Header().Set("Content-Length", length)
			}
			w.(http.Flusher).Flush()
			for range 3 {
				<-next
				io.WriteString(w, "data: x\n\n")
				w.(http.Flusher).Flush()
			}
		})
		for _, query := range []string{"type=text/event-stream", "type=application/x-ndjson", "type=text/plain&length=27"} {
			resp, err := e.client().Get("http://app.localhost/?" + query)
			if err != nil {
				t.Fatal(err) // the head arrives before the first event
			}
			buf := make([]byte, 9)
			for range 3 {
				next <- true
				if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "data: x\n\n" {
					t.Fatalf("%s: %q, %v", query, buf, err)
				}
			}
			if _, err := resp.Body.Read(buf); err != io.EOF {
				t.Errorf("%s: %v", query, err)
			}
			resp.Body.Close()
		}
	})
}

func TestClientGoneCancelsTheApp(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		entered, ended := make(chan bool, 1), make(chan bool, 1)
		e.app(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/streaming" {
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
			if r.URL.Path == "/sending" {
				go io.Copy(io.Discard, r.Body)
			}
			entered <- true
			<-r.Context().Done()
			ended <- true
		})
		for _, request := range []string{
			"GET /waiting HTTP/1.1\r\nHost: app.localhost\r\n\r\n", "GET /streaming HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
			"POST /sending HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 100\r\n\r\nx", "POST /sent HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1\r\n\r\nx",
		} {
			if request[0] == 'P' && strings.Contains(request, "/sent ") {
				request = strings.Replace(request, "/sent", "/sending", 1)
			}
			c, _ := e.raw(request)
			<-entered
			c.Close()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Errorf("%q: the app was not canceled", request)
			}
		}
	})
}

// TestBrokenUploadIsNoWholeOne: an app never mistakes part of a body for the complete
// body.
func TestBrokenUploadIsNoWholeOne(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		reached, got := make(chan struct{}, 1), make(chan error, 1)
		e.app(func(w http.ResponseWriter, r *http.Request) {
			reached <- struct{}{}
			_, err := io.ReadAll(r.Body)
			got <- err
		})
		for _, head := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
			c, _ := e.raw("POST / HTTP/1.1\r\nHost: app.localhost\r\n" + head)
			<-reached
			c.Close()
			if err := <-got; err == nil {
				t.Errorf("%q was accepted as a complete body", head)
			}
		}
	})
}

func TestStaleConnections(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		// The app closes each connection after one response, without announcing it.
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		_, conns := e.script(answer)
		client := e.client()
		for i := range 5 {
			resp, err := client.Get("http://app.localhost/")
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || string(text) != "ok" {
				t.Fatalf("request %d: %d %q", i, resp.StatusCode, text)
			}
		}
		if n := conns.Load(); n != 5 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestNothingIsSentTwice: the app reads a second request on a kept connection and closes
// the connection without a response.
func TestNothingIsSentTwice(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
		asked  int32
	}{{"GET", 200, 3}, {"POST", 502, 2}, {"DELETE", 502, 2}} {
		t.Run(tt.method, func(t *testing.T) {
			bothTransports(t, func(t *testing.T, e *env) {
				if e.std && tt.method == "DELETE" {
					t.Skip("net/http sends it again: it is idempotent") // our transport is tested in the other run
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				var asked atomic.Int32
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						go func() {
							defer c.Close()
							r := bufio.NewReader(c)
							for {
								req, err := http.ReadRequest(r)
								if err != nil {
									return
								}
								io.Copy(io.Discard, req.Body)
								if asked.Add(1) == 2 {
									return
								}
								io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
							}
						}()
					}
				}()
				e.register(l.Addr().String())
				client := e.client()
				resp, err := client.Get("http://app.localhost/first")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://app.localhost/", nil)
				if tt.method == "POST" {
					req.Body, req.ContentLength = io.NopCloser(strings.NewReader("x")), 1
				}
				resp, err = client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != tt.status || asked.Load() != tt.asked {
					t.Errorf("%d after %d requests, want %d after %d", resp.StatusCode, asked.Load(), tt.status, tt.asked)
				}
			})
		})
	}
}

func TestConnectionsAreKept(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		var conns atomic.Int32
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
		srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		srv.Start()
		defer srv.Close()
		e.register(srv.Listener.Addr().String())
		// One client connection: each response is complete before the next request, so
		// the app's connection is back in the pool by then.
		client, answers := e.raw("")
		for i := range 100 {
			request := "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
			if i%3 == 0 {
				request = "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\n\r\nhello"
			}
			io.WriteString(client, request)
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
		}
		if n := conns.Load(); n > 2 {
			t.Errorf("100 requests took %d connections", n)
		}
		e.plane.Close()
	})
}

func TestBothFamiliesAndSockets(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		six, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			harness.Missing(t, err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })}
		go srv.Serve(six)
		defer srv.Close()
		port := six.Addr().(*net.TCPAddr).Port
		e.register(fmt.Sprint(port))
		for range 3 {
			if resp, text := e.get("/"); resp.StatusCode != 200 || text != "app.localhost" {
				t.Errorf("%d %s", resp.StatusCode, text)
			}
		}
	})
}

func TestHTTPSTargets(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Host, r.Header.Get("X-Forwarded-Host"), b)
		}))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		defer srv.Close()
		e.register(srv.URL)
		if resp, text := e.get("/"); resp.StatusCode != 502 || !strings.Contains(text, codeCertificate) {
			t.Errorf("an unknown certificate: %d %s", resp.StatusCode, text)
		}
		if _, err := e.plane.Register(t.Context(), routes.Registration{Name: "app", Target: srv.URL, Insecure: true}); err != nil {
			t.Fatal(err)
		}
		client := e.client()
		for range 3 {
			resp, err := client.Post("http://app.localhost/", "", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := strings.TrimPrefix(srv.URL, "https://") + " app.localhost body"; string(text) != want {
				t.Errorf("%d %s, want %s", resp.StatusCode, text, want)
			}
		}
	})
}

// TestManyAtOnce checks that concurrent requests do not get each other's data.
func TestManyAtOnce(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.app(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("X-Id", r.Header.Get("X-Id"))
			fmt.Fprintf(w, "%s %s", r.URL.Path, b)
			if len(b)%2 == 1 {
				w.(http.Flusher).Flush()
			}
		})
		client := e.client()
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = 50
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 20 {
					id := fmt.Sprintf("%d-%d", i, j)
					body := strings.Repeat(id, (i*j)%400)
					req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://app.localhost/"+id, strings.NewReader(body))
					req.Header.Set("X-Id", id)
					resp, err := client.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(got) != "/"+id+" "+body || resp.Header.Get("X-Id") != id {
						t.Errorf("%s: %v, %d bytes for %d, id %s", id, err, len(got), len(body), resp.Header.Get("X-Id"))
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestLoopsEnd(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.register(e.addr) // the app is this proxy itself
		resp, text := e.get("/")
		if resp.StatusCode != http.StatusLoopDetected || !strings.Contains(text, "changeOrigin") {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
		_, r := e.raw("GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusLoopDetected {
			t.Errorf("upgrade: %v, %v", resp, err)
		}
	})
}

func TestErrorsAreNoAnswers(t *testing.T) {
	var dial *http1.DialError
	if err := error(&http1.DialError{Err: io.EOF}); !errors.As(err, &dial) || !errors.Is(err, io.EOF) {
		t.Error("a http1.DialError hides its cause")
	}
}
