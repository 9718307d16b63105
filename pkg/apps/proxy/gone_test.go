package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/apps/routes"
)

type goneListener struct {
	net.Listener
	gone *atomic.Bool
}

func (l goneListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return goneConn{c, l.gone}, err
}

type goneConn struct {
	net.Conn
	gone *atomic.Bool
}

func (c goneConn) PeerLeft() bool { return c.gone.Load() }

// goneServer serves a plane to clients; gone controls whether a client counts as
// disconnected.
func goneServer(t *testing.T) (p *plane, addr string, gone *atomic.Bool) {
	p = openPlane(t, options{Config: Config{URL: func(h string) string { return h }}})
	gone = new(atomic.Bool)
	srv := httptest.NewUnstartedServer(p)
	srv.Listener = goneListener{srv.Listener, gone}
	srv.Start()
	t.Cleanup(func() { srv.Close(); p.Close() })
	return p, srv.Listener.Addr().String(), gone
}

// TestClientGoneBeforeTheAnswer: if the client disconnects, the connection to an app that
// has not answered an upgrade, or streams a refusal, is closed.
func TestClientGoneBeforeTheAnswer(t *testing.T) {
	p, addr, gone := goneServer(t)
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"} {
		gone.Store(false)
		arrived, ended := make(chan struct{}), make(chan struct{})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Read(make([]byte, 4096))
			io.WriteString(c, answer)
			close(arrived)
			io.Copy(io.Discard, c)
			close(ended)
		}()
		if _, err := p.Register(t.Context(), routes.Registration{Name: "app", Target: l.Addr().String()}); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\nearly")
		<-arrived
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
			t.Errorf("%q: a half-closed client connection was treated as disconnected", answer)
		case <-time.After(3 * clientCheckEvery):
		}
		gone.Store(true)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: the app's connection is still open after the client has disconnected", answer)
		}
	}
}

// TestClientGoneBeforeTheEnd: after a half-close, an app that keeps its side open loses
// the connection when the client is gone.
func TestClientGoneBeforeTheEnd(t *testing.T) {
	p, addr, gone := goneServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended, last := make(chan error, 1), make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n")
		io.Copy(io.Discard, c)
		io.WriteString(c, "still here")
		<-last
		for err = nil; err == nil; time.Sleep(10 * time.Millisecond) {
			_, err = io.WriteString(c, ".") // writes to a closed connection fail eventually
		}
		ended <- err
	}()
	if _, err := p.Register(t.Context(), routes.Registration{Name: "app", Target: l.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for buf := make([]byte, 512); !bytes.HasSuffix(got, []byte("still here")); {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		got = append(got, buf[:n]...)
	}
	gone.Store(true)
	close(last)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the app's connection outlives its client")
	}
}
