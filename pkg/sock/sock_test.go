package sock_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/sock"
)

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); other.Close() })
	for _, c := range []net.Conn{c, other} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return c.(*net.TCPConn), other.(*net.TCPConn)
}

func quick(t *testing.T, c *net.TCPConn) *sock.Conn {
	t.Helper()
	q, err := sock.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestConnMovesAll sends more data than the buffers can hold, in both directions at the
// same time.
func TestConnMovesAll(t *testing.T) {
	near, far := pair(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	var running sync.WaitGroup
	for _, c := range []*net.TCPConn{near, far} {
		q := quick(t, c)
		running.Go(func() {
			if n, err := q.Write(data); n != len(data) || err != nil {
				t.Errorf("wrote %d: %v", n, err)
			}
			c.CloseWrite()
		})
		running.Go(func() {
			if got, err := io.ReadAll(q); err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes: %v", len(got), err)
			}
		})
	}
	running.Wait()
}

func TestConnErrors(t *testing.T) {
	near, far := pair(t)
	q := quick(t, near)
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	var ne net.Error
	if _, err := q.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	near.SetReadDeadline(time.Time{})
	far.CloseWrite()
	if _, err := q.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	far.SetLinger(0)
	far.Close()
	if _, err := q.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection that was reset")
	}
	if _, err := q.Write(make([]byte, 1)); err == nil {
		t.Error("wrote to a connection that was reset")
	}
	near.Close()
	if _, err := q.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	if _, err := q.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestLooking(t *testing.T) {
	near, far := pair(t)
	q := quick(t, near)
	silent := func() bool {
		if one, other := q.Silent(), sock.Silent(near); one != other {
			t.Errorf("Silent is %v and %v", one, other)
		}
		return sock.Silent(near)
	}
	if sock.Unread(near) || !silent() {
		t.Error("Unread reports data although nothing was sent")
	}
	near.SetReadDeadline(time.Now().Add(time.Millisecond))
	if sock.Ends(near) {
		t.Error("Ends reports an open connection as ended")
	}
	near.SetReadDeadline(time.Now().Add(20 * time.Second))
	far.Write([]byte("x"))
	if sock.Ends(near) { // returns because of the byte
		t.Error("Ends reports a byte as the end")
	}
	if !sock.Unread(near) || silent() {
		t.Error("Unread does not report the data")
	}
	near.Read(make([]byte, 1))
	far.CloseWrite()
	if !sock.Ends(near) || sock.Unread(near) || silent() {
		t.Error("Ends does not report the end")
	}
}

// TestReadBuffer checks the data, the deadline and the end of a connection that is read
// with pooled buffers.
func TestReadBuffer(t *testing.T) {
	near, far := pair(t)
	q := quick(t, near)
	for _, want := range []string{"first", "second, longer"} {
		time.AfterFunc(10*time.Millisecond, func() { io.WriteString(far, want) })
		buf, n, err := q.ReadBuffer()
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("read %q, %v; want %q", buf[:n], err, want)
		}
		sock.PutBuffer(buf)
	}
	near.SetReadDeadline(time.Now().Add(-time.Second))
	if buf, n, err := q.ReadBuffer(); buf != nil || n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after the deadline: %d bytes of %p, %v", n, buf, err)
	}
	near.SetReadDeadline(time.Time{})
	far.CloseWrite()
	if buf, n, err := q.ReadBuffer(); buf != nil || n != 0 || err != io.EOF {
		t.Fatalf("at the end: %d bytes of %p, %v", n, buf, err)
	}
}
