package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// socketApp registers an app that accepts upgrades; serve gets the raw connection after
// the request's head.
func (e *env) socketApp(serve func(c net.Conn, r *bufio.Reader, req *http.Request)) {
	e.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	var running sync.WaitGroup
	e.t.Cleanup(func() {
		l.Close()
		e.plane.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if req, err := http.ReadRequest(r); err == nil {
					serve(c, r, req)
				}
			})
		}
	})
	e.register(l.Addr().String())
}

const (
	askUpgrade  = "GET /s?a;b HTTP/1.1\r\nHost: app.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: Foo/2\r\nX-Dup: 1\r\nX-Dup: 2\r\n\r\n"
	agreeToThat = "HTTP/1.1 101 Whatever Protocols\r\nupgrade: Foo/2\r\nConnection: upgrade\r\nX-odd-Case: yes\r\n\r\n"
)

func TestUpgradeOfAnyProtocol(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		heads := make(chan *http.Request, 1)
		e.socketApp(func(c net.Conn, r *bufio.Reader, req *http.Request) {
			heads <- req
			io.WriteString(c, agreeToThat+"early from app;") // in one segment with the head
			io.Copy(c, r)
			io.WriteString(c, ";end")
		})
		c, r := e.raw(askUpgrade + "early from client;")
		req := <-heads
		if req.Header.Get("Upgrade") != "Foo/2" || req.Header.Get("Connection") != "Upgrade" || req.RequestURI != "/s?a;b" || len(req.Header["X-Dup"]) != 2 ||
			req.Header.Get("X-Forwarded-For") != "127.0.0.1" || req.Header.Get("X-Hostless-Hops") != "1" {
			t.Errorf("app got %s %v", req.RequestURI, req.Header)
		}
		io.WriteString(c, "late;")
		c.(*net.TCPConn).CloseWrite() // the other direction stays open
		got, err := io.ReadAll(r)
		want := agreeToThat + "early from app;early from client;late;;end"
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v\nwant %q", got, err, want)
		}
	})
}

// TestUpgradeWithAnEndedSide: data that the client sent before it half-closed is not
// lost.
func TestUpgradeWithAnEndedSide(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.socketApp(func(c net.Conn, r *bufio.Reader, req *http.Request) {
			io.WriteString(c, agreeToThat)
			all, _ := io.ReadAll(r)
			fmt.Fprintf(c, "%q", all)
		})
		for range 20 {
			c, r := e.raw(askUpgrade + "all")
			c.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(r)
			if err != nil || string(got) != agreeToThat+`"all"` {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
}

func TestUpgradeRefused(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		for _, tt := range []struct{ answer, status, body string }{
			{"HTTP/1.1 403 Go Away\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nnope", "403 Go Away", "nope"},
			{"HTTP/1.1 403 Go Away\r\nX-Why: because\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n2\r\npe\r\n0\r\n\r\n", "403 Go Away", "nope"},
			{"HTTP/1.1 426 Upgrade Required\r\nX-Why: because\r\nConnection: close\r\n\r\nnope", "426 Upgrade Required", "nope"},
			{"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-Why: because\r\nContent-Length: 0\r\n\r\n", "200 OK", ""},
			{"Unauthorized", "502 Bad Gateway", "Next.js"},
			{"", "502 Bad Gateway", ""},
		} {
			e.socketApp(func(c net.Conn, r *bufio.Reader, req *http.Request) { io.WriteString(c, tt.answer) })
			_, r := e.raw(askUpgrade + "must not reach the app")
			resp, err := http.ReadResponse(r, nil)
			if err == nil && resp.StatusCode == 103 {
				resp, err = http.ReadResponse(r, nil)
			}
			if err != nil {
				t.Fatalf("%q: %v", tt.answer, err)
			}
			body, err := io.ReadAll(resp.Body)
			ours := resp.StatusCode == 502
			if resp.Status != tt.status || err != nil || !ours && string(body) != tt.body || !strings.Contains(string(body), tt.body) || !ours && resp.Header.Get("X-Why") != "because" || !resp.Close {
				t.Errorf("%q: %s %q %v %v", tt.answer, resp.Status, body, resp.Header, err)
			}
		}
	})
}

func TestUpgradeToNobody(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.register("127.0.0.1:1")
		_, r := e.raw(askUpgrade)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 502 || resp.Close {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

// TestUpgradeEndsWithEitherSide closes either end of upgraded connections.
func TestUpgradeEndsWithEitherSide(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		ended, answered := make(chan error, 1), make(chan struct{})
		e.socketApp(func(c net.Conn, r *bufio.Reader, req *http.Request) {
			io.WriteString(c, agreeToThat)
			if req.URL.Path == "/app" {
				<-answered // a reset could overtake the response
				c.(*net.TCPConn).SetLinger(0)
				return
			}
			_, err := io.Copy(io.Discard, r)
			ended <- err
		})
		release := sync.OnceFunc(func() { close(answered) })
		t.Cleanup(release) // if the test fails, the app can stop
		c, r := e.raw(askUpgrade)
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		<-ended
		_, r = e.raw(strings.Replace(askUpgrade, "/s?a;b", "/app", 1))
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		release()
		if _, err := io.Copy(io.Discard, r); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("after the app has closed: %v", err)
		}
	})
}

func TestCloseEndsUpgraded(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.socketApp(func(c net.Conn, r *bufio.Reader, req *http.Request) {
			io.WriteString(c, agreeToThat)
			io.Copy(io.Discard, r)
		})
		_, r := e.raw(askUpgrade)
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		e.plane.Close()
		if _, err := r.ReadByte(); err == nil {
			t.Error("the connection is still open")
		}
	})
}

// echoApp is a WebSocket server with its own limits and subprotocols.
func (e *env) echoApp() {
	up := websocket.Upgrader{
		CheckOrigin: func(*http.Request) bool { return true }, Subprotocols: []string{"b", "a"}, EnableCompression: true,
		ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10,
	}
	e.app(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			if err := c.WriteMessage(kind, data); err != nil {
				return
			}
		}
	})
}

func (e *env) dialSocket(d websocket.Dialer) *websocket.Conn {
	e.t.Helper()
	d.NetDial = func(_, _ string) (net.Conn, error) { return net.Dial("tcp", e.addr) }
	c, _, err := d.Dial("ws://app.localhost/ws", http.Header{"Origin": {"http://app.localhost"}})
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// TestWebSocketCases covers the kinds of frames that the Autobahn test suite covers.
func TestWebSocketCases(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.echoApp()
		for _, compress := range []bool{false, true} {
			c := e.dialSocket(websocket.Dialer{Subprotocols: []string{"a"}, EnableCompression: compress})
			defer c.Close()
			if c.Subprotocol() != "a" {
				t.Errorf("subprotocol %q", c.Subprotocol())
			}
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			for _, size := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20} {
				for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
					data := bytes.Repeat([]byte("*"), size)
					if err := c.WriteMessage(kind, data); err != nil {
						t.Fatal(err)
					}
					k, got, err := c.ReadMessage()
					if err != nil || k != kind || !bytes.Equal(got, data) {
						t.Fatalf("%d bytes: kind %d, %d bytes, %v", size, k, len(got), err)
					}
				}
			}
			// A fragmented message with a ping in between.
			pong := make(chan string, 8)
			c.SetPongHandler(func(s string) error { pong <- s; return nil })
			w, _ := c.NextWriter(websocket.TextMessage)
			for i := range 5 {
				fmt.Fprint(w, strings.Repeat(fmt.Sprint(i), 5000))
				c.WriteControl(websocket.PingMessage, []byte("ping"), time.Now().Add(time.Second))
			}
			w.Close()
			if _, got, err := c.ReadMessage(); err != nil || len(got) != 25000 {
				t.Errorf("fragments: %d bytes, %v", len(got), err)
			}
			if got := <-pong; got != "ping" {
				t.Errorf("pong %q", got)
			}
			c.SetPongHandler(nil)
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bye"), time.Now().Add(time.Second))
			if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 4001) {
				t.Errorf("close: %v", err)
			}
		}
	})
}

func TestSocketsSurviveChanges(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.echoApp()
		c := e.dialSocket(websocket.Dialer{})
		defer c.Close()
		e.register("127.0.0.1:1") // the route points elsewhere now
		c.WriteMessage(websocket.TextMessage, []byte("still here"))
		if _, got, err := c.ReadMessage(); err != nil || string(got) != "still here" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestNothingLeaks performs many upgrades and requests with every kind of end.
func TestNothingLeaks(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.echoApp()
		count := 1000
		if testing.Short() {
			count = 200
		}
		warm := e.dialSocket(websocket.Dialer{})
		warm.Close()

		goroutines, files := runtime.NumGoroutine(), descriptors()
		var wg sync.WaitGroup
		for worker := range 10 {
			wg.Go(func() {
				for i := range count / 10 {
					c := e.dialSocket(websocket.Dialer{})
					c.WriteMessage(websocket.TextMessage, []byte("x"))
					if i%3 != worker%3 {
						c.ReadMessage()
					}
					if i%2 == 0 {
						c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
					}
					c.Close()
				}
			})
		}
		wg.Wait()
		for range 500 {
			if runtime.NumGoroutine() <= goroutines+2 && descriptors() <= files+2 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after; %d descriptors before, %d after\n%s", goroutines, runtime.NumGoroutine(), files, descriptors(), buf[:runtime.Stack(buf, true)])
	})
}

// descriptors counts this process's open file descriptors, if the system tells.
func descriptors() int {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(dir)
}
