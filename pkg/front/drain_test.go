package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sock"
	"github.com/hostless/hostless/test/harness"
)

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c, bufio.NewReader(c)
}

func TestDrainAnswersWhatIsInFlight(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	clock := harness.NewClock()
	s := start(t, Config{Clock: clock, CloseDelay: time.Hour, Gateway: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		fmt.Fprint(w, "done")
	})})
	t.Cleanup(let) // otherwise nothing would end after a failure
	slow, slowReader := dial(t, s.addr)
	io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
	kept, keptReader := dial(t, s.addr)
	io.WriteString(kept, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if resp, err := http.ReadResponse(keptReader, nil); err != nil || resp.Close {
		t.Fatalf("before: %v", err)
	} else {
		io.Copy(io.Discard, resp.Body)
	}
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	clock.Await(t, time.Hour)
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("the listener is open while the server drains")
	}
	// A request on a kept-alive connection still gets a response, the last one.
	io.WriteString(kept, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(keptReader, nil)
	if err != nil || !resp.Close {
		t.Fatalf("while draining: %+v, %v; want an answer with Connection: close", resp, err)
	}
	if s.retiring.Load() {
		t.Error("connections are closed before CloseDelay has passed")
	}
	clock.Advance(time.Hour)
	let()
	resp, err = http.ReadResponse(slowReader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "done" {
		t.Errorf("the request in flight got %q, %v", body, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d in flight at the end", n)
	}
}

func TestDrainCutsWhatOutlastsTheDeadline(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	s := start(t, Config{CloseDelay: time.Millisecond, Drain: 20 * time.Millisecond, Gateway: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(entered)
		<-r.Context().Done()
		if cause := context.Cause(r.Context()); !fault.Is(cause, fault.Stopping) {
			t.Errorf("the cause is %v, which is no message for the client", cause)
		}
		close(ended)
	})})
	c, _ := dial(t, s.addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	<-ended
}

// TestDrainEndsUpgradedConnections covers a handler that ends with its context, like the
// gateway's WebSockets, and one that ends only with the connection, like the relay of the
// apps plane.
func TestDrainEndsUpgradedConnections(t *testing.T) {
	for _, endsWithContext := range []bool{true, false} {
		t.Run(fmt.Sprint("endsWithContext ", endsWithContext), func(t *testing.T) {
			handlerEnded := make(chan struct{})
			clock := harness.NewClock()
			s := start(t, Config{Clock: clock, CloseDelay: time.Hour, UpgradeGrace: 2 * time.Hour, Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(handlerEnded)
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
				if endsWithContext {
					<-r.Context().Done()
					io.WriteString(c, "bye")
					return
				}
				io.Copy(io.Discard, c)
			})})
			c, reader := dial(t, s.addr)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			if resp, err := http.ReadResponse(reader, nil); err != nil || resp.StatusCode != 101 {
				t.Fatal(resp, err)
			}
			if s.InFlight() != 1 {
				t.Errorf("%d in flight", s.InFlight())
			}
			stopped := make(chan error, 1)
			go func() { stopped <- s.stop() }()
			clock.Await(t, time.Hour)
			clock.Advance(time.Hour)
			if !endsWithContext { // it may take the whole grace period
				clock.Await(t, 2*time.Hour)
				if len(s.members(s.upgraded)) != 1 {
					t.Error("the connection was closed before UpgradeGrace had passed")
				}
				clock.Advance(2 * time.Hour)
			}
			if err := within(t, stopped); err != nil {
				t.Error(err)
			}
			<-handlerEnded
			rest, err := io.ReadAll(reader)
			if err != nil && !strings.Contains(err.Error(), "reset") || endsWithContext != (string(rest) == "bye") {
				t.Errorf("the client got %q, %v", rest, err)
			}
		})
	}
}

func TestRunFailsWithItsListener(t *testing.T) {
	s, err := New(Config{Gateway: namedPlane("g"), Apps: namedPlane("a"), CloseDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Run(context.Background(), l); err == nil {
		t.Error("Run on a closed listener ended without an error")
	}
	if _, err := New(Config{Gateway: namedPlane("g")}); err == nil {
		t.Error("New without a plane succeeded")
	}
}

// TestRetireKeepsWhatHasArrived delays the server's reader, as on a busy machine, while a
// request arrives.
func TestRetireKeepsWhatHasArrived(t *testing.T) {
	clock := harness.NewClock()
	s, err := New(Config{Clock: clock, Gateway: namedPlane("g"), Apps: namedPlane("a")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accept := func() (net.Conn, *conn) {
		client, _ := dial(t, l.Addr().String())
		tcp, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := &conn{TCPConn: tcp.(*net.TCPConn), server: s}
		s.connState(c, http.StateNew)
		s.connState(c, http.StateIdle)
		t.Cleanup(func() { c.Close() })
		return client, c
	}
	_, waiting := accept()
	sender, arrived := accept()
	readSender, read := accept()
	io.WriteString(sender, "GET")
	io.WriteString(readSender, "GET")
	if _, err := read.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for !arrived.pending() { // until the kernel has delivered it
		time.Sleep(time.Millisecond)
	}
	if !s.retireIdle() || len(s.members(s.idle)) != 2 {
		t.Errorf("%d connections are kept; want the two with a request", len(s.members(s.idle)))
	}
	if _, err := waiting.Write([]byte("x")); err == nil {
		t.Error("the connection without a request is open")
	}
	for _, c := range []*conn{arrived, read} {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("a connection with a request was closed: %v", err)
		}
	}
	// A request that has been read must not be lost before its handler is called.
	s.connState(arrived, http.StateActive)
	s.connState(read, http.StateActive)
	if !s.retireIdle() {
		t.Error("a request was dropped after it was read and before its handler was called")
	}
	arrived.handled.Store(true)
	read.handled.Store(true)
	if s.retireIdle() {
		t.Error("the server waits for a handler as if its request had not arrived")
	}
	// One whose handler is never called must not delay the shutdown beyond the grace
	// period.
	read.handled.Store(false)
	s.retired = clock.Now()
	clock.Advance(partialReadGrace)
	s.retire(t.Context())
}

// TestDrainEndsEventStreams has an endless event stream of an app and a download, on both
// servers: the shutdown waits only for the download.
func TestDrainEndsEventStreams(t *testing.T) {
	entered, release := make(chan struct{}, 3), make(chan struct{})
	s := start(t, Config{CloseDelay: time.Millisecond, Drain: time.Minute, Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/download" {
			entered <- struct{}{}
			<-release
			io.WriteString(w, "whole")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		entered <- struct{}{}
		<-r.Context().Done()
	})})
	_, download := dialed(t, s.addr, "GET /download HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
	_, lane := dialed(t, s.addr, "GET /events HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
	_, stock := dialed(t, s.addr, "GET /events HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n")
	for range 3 {
		<-entered
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for name, r := range map[string]*bufio.Reader{"lane": lane, "net/http": stock} {
		if _, err := io.ReadAll(r); err != nil { // within the ten seconds of the connection
			t.Errorf("%s: %v", name, err)
		}
	}
	close(release)
	resp, err := http.ReadResponse(download, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); string(text) != "whole" || err != nil {
		t.Errorf("download: %q, %v", text, err)
	}
	if err := within(t, stopped); err != nil {
		t.Error(err)
	}
}

func dialed(t *testing.T, addr, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, r := dial(t, addr)
	io.WriteString(c, request)
	return c, r
}

// TestDrainTakesUploadsWhole has an upload that arrives while the server drains, on both
// servers.
func TestDrainTakesUploadsWhole(t *testing.T) {
	entered := make(chan struct{}, 2)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 2)
		io.ReadFull(r.Body, first)
		entered <- struct{}{}
		rest, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%s %v", first, rest, err)
	})
	s := start(t, Config{CloseDelay: time.Millisecond, Drain: time.Minute, Apps: h, Gateway: h})
	lane, fromLane := dialed(t, s.addr, "POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 4\r\n\r\nab")
	stock, fromStock := dialed(t, s.addr, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
	<-entered
	<-entered
	go s.stop()
	for !s.retiring.Load() {
		time.Sleep(time.Millisecond)
	}
	s.wakeLanes() // as drain does at some point
	for c, r := range map[net.Conn]*bufio.Reader{lane: fromLane, stock: fromStock} {
		io.WriteString(c, "cd")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(resp.Body); string(text) != "abcd <nil>" || err != nil {
			t.Errorf("%v: got %q, %v", c.LocalAddr(), text, err)
		}
	}
}

// TestLaneBodiesHaveNoDeadline has an upload in a lane that takes longer than the deadline
// for the next request.
func TestLaneBodiesHaveNoDeadline(t *testing.T) {
	s, err := New(Config{Gateway: namedPlane("g"), Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, reader := dial(t, listener.Addr().String())
	tcp, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	own := &conn{TCPConn: tcp.(*net.TCPConn), server: s}
	own.ctx, own.cancel = context.WithCancel(t.Context())
	l, err := newLane(s, own)
	if err != nil {
		t.Fatal(err)
	}
	const head = "POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 4\r\n\r\n"
	r, err := l.parse([]byte(head))
	if err != nil {
		t.Fatal(err)
	}
	l.in = []byte(head + "ab")
	l.r, l.w = len(head), len(l.in)
	own.SetReadDeadline(time.Unix(1, 0))
	io.WriteString(client, "cd")
	l.serve(r)
	own.Close()
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); string(text) != "abcd <nil>" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestDrainEndsHalfHeads has a client that sends a part of a long head and nothing more.
func TestDrainEndsHalfHeads(t *testing.T) {
	s := start(t, Config{CloseDelay: time.Millisecond})
	const head = "GET / HTTP/1.1\r\nHost: a.localhost\r\nX: "
	_, r := dialed(t, s.addr, head+strings.Repeat("x", sock.BufferSize-len(head))) // the size of a lane's first read
	for reading, limit := false, time.Now().Add(10*time.Second); !reading; time.Sleep(time.Millisecond) {
		for _, own := range s.members(s.lanes) {
			reading = own.lane.Load() == laneReading
		}
		if time.Now().After(limit) {
			t.Fatal("the lane does not wait for the rest")
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	if err := within(t, stopped); err != nil {
		t.Error(err)
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("the client got %q", rest)
	}
}
