package proxy

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostless/hostless/pkg/apps/routes"
)

// leased starts a server for a plane on which app.localhost is a run that listens on the
// port of l.
func leased(t *testing.T, l net.Listener, logger *slog.Logger) *httptest.Server {
	t.Helper()
	p := newPlane(t, func(c *Config) { c.Hold, c.Logger = 20*time.Second, logger })
	lease, err := p.Lease(t.Context(), routes.Registration{Name: "app", Port: l.Addr().(*net.TCPAddr).Port, Command: "node app.js"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	if err := lease.Update(routes.Update{State: routes.StateListening}); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s
}

// queued waits until l has a connection that has not been accepted yet.
func queued(t *testing.T, l net.Listener) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		n := 0
		raw.Control(func(fd uintptr) { n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) })
		if n == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no connection arrives")
		}
	}
}

// signals is a writer that sends each log line to a channel.
type signals chan string

func (s signals) Write(line []byte) (int, error) {
	select {
	case s <- string(line):
	default:
	}
	return len(line), nil
}

// TestNotReadIsSentAgain closes the socket of an app that has not accepted the connection
// of a request, as when a dev server restarts, and starts the app again.
func TestNotReadIsSentAgain(t *testing.T) {
	for _, request := range []struct{ method, body string }{{"GET", ""}, {"POST", "line=kept"}, {"DELETE", ""}} {
		t.Run(request.method, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			logged := make(signals, 10)
			s := leased(t, l, slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
			type result struct {
				status int
				body   string
				err    error
			}
			done := make(chan result)
			go func() {
				req, _ := http.NewRequest(request.method, s.URL, strings.NewReader(request.body))
				req.Host = "app.localhost"
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					done <- result{err: err}
					return
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				done <- result{resp.StatusCode, string(text), err}
			}()
			queued(t, l)
			l.Close()
			for sent, limit := false, time.After(5*time.Second); !sent; {
				select {
				case <-limit: // another program's connection was queued, and this request is held
					sent = true
				case line := <-logged:
					sent = strings.Contains(line, "is sent again")
				case got := <-done:
					t.Fatalf("not sent again: %+v", got)
				}
			}
			if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			var requests atomic.Int32
			app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == request.method { // do not count probes of the protocol
					requests.Add(1)
				}
				text, _ := io.ReadAll(r.Body)
				io.WriteString(w, r.Method+" "+string(text))
			})}
			go app.Serve(l)
			t.Cleanup(func() { app.Close() })
			if got, want := <-done, (result{200, request.method + " " + request.body, nil}); got != want || requests.Load() != 1 {
				t.Errorf("%+v after %d requests, want %+v after one", got, requests.Load(), want)
			}
		})
	}
}

// TestReadIsNotSentAgain closes and resets the connection of a request that the app has
// read.
func TestReadIsNotSentAgain(t *testing.T) {
	for name, reset := range map[string]bool{"closed": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var requests atomic.Int32
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil && r.Method == "POST" {
						requests.Add(1)
						io.ReadAll(r.Body)
					}
					if reset {
						c.(*net.TCPConn).SetLinger(0)
					}
					c.Close()
				}
			}()
			s := leased(t, l, nil)
			req, _ := http.NewRequest("POST", s.URL, strings.NewReader("order=1"))
			req.Host = "app.localhost"
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusBadGateway || requests.Load() != 1 {
				t.Errorf("status %d after %d requests, want 502 after one", resp.StatusCode, requests.Load())
			}
		})
	}
}

// TestSlowFormInParts sends a short body in two parts. The app gets the first one without
// waiting for the second.
func TestSlowFormInParts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 4)
		io.ReadFull(r.Body, part)
		if r.Method == "POST" { // and not a probe of the protocol
			first <- string(part)
		}
		rest, _ := io.ReadAll(r.Body)
		w.Write(append(part, rest...))
	})}
	go app.Serve(l)
	t.Cleanup(func() { app.Close() })
	s := leased(t, l, nil)
	body, send := io.Pipe()
	go func() {
		io.WriteString(send, "half")
		if got := <-first; got != "half" {
			t.Errorf("the first part is %q", got)
		}
		io.WriteString(send, "rest")
		send.Close()
	}()
	req, _ := http.NewRequest("POST", s.URL, body)
	req.Host, req.ContentLength = "app.localhost", 8
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != "halfrest" || err != nil {
		t.Errorf("status %d, %q, %v", resp.StatusCode, text, err)
	}
}
