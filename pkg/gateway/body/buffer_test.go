package body

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
)

func TestClasses(t *testing.T) {
	last := -1
	for size := minPooled; size <= maxPooled; size += 1021 {
		pool, capacity := class(size)
		if pool < 0 || pool >= len(pools) || capacity < size || capacity > 2*size {
			t.Fatalf("%d bytes: pool %d of %d bytes", size, pool, capacity)
		}
		if again, same := class(capacity); again != pool || same != capacity {
			t.Fatalf("%d bytes: pool %d of %d; a buffer of these goes to pool %d of %d", size, pool, capacity, again, same)
		}
		if pool < last {
			t.Fatalf("%d bytes: pool %d after %d", size, pool, last)
		}
		last = pool
	}
	for _, size := range []int{0, 1, minPooled - 1, maxPooled + 1} {
		if pool, capacity := class(size); pool >= 0 || capacity != size {
			t.Errorf("%d bytes: pool %d of %d", size, pool, capacity)
		}
	}
}

func leased(t *testing.T, size int) (*Lease, []byte) {
	t.Helper()
	lease := NewMemory(1<<30, 0).Lease()
	r, _ := http.NewRequest("POST", "/", bytes.NewReader(make([]byte, size)))
	data, err := Read(r, 1<<20, &lease)
	if err != nil {
		t.Fatal(err)
	}
	return &lease, data
}

// TestBufferReuse checks that memory is reused only after its lease has been released,
// every Reader is closed and nothing keeps a part of it.
func TestBufferReuse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		use    func(l *Lease, data []byte) (after func())
		reused bool
	}{
		{"plain", func(l *Lease, data []byte) func() { return nil }, false},
		{"reuse", func(l *Lease, data []byte) func() { l.Reuse(); return nil }, true},
		{"keep", func(l *Lease, data []byte) func() { l.Reuse(); l.Keep(); return nil }, false},
		{"keep first", func(l *Lease, data []byte) func() { l.Keep(); l.Reuse(); return nil }, false},
		{"closed reader", func(l *Lease, data []byte) func() {
			l.Reuse()
			r := NewReader(data, l)
			r.Close()
			r.Close()
			return nil
		}, true},
		{"open reader", func(l *Lease, data []byte) func() { l.Reuse(); NewReader(data, l); return nil }, false},
		{"reader closed later", func(l *Lease, data []byte) func() {
			l.Reuse()
			r := NewReader(data, l)
			return func() { r.Close() }
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lease, data := leased(t, 100<<10)
			b := lease.buffer
			after := tt.use(lease, data)
			lease.Release()
			if after != nil {
				if b.users.Load() != 1 {
					t.Error("the memory is free while it is read")
				}
				after()
			}
			if reused := len(b.data) == 0; reused != tt.reused {
				t.Errorf("reused: %v, want %v", reused, tt.reused)
			}
		})
	}
}

// TestCloseDuringWrite closes a body while it is being written. Its memory must not be
// reused before the write is over.
func TestCloseDuringWrite(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lease, data := leased(t, 1<<20)
	lease.Reuse()
	b := lease.buffer
	r := NewReader(data, lease)
	lease.Release()
	if !r.begin() { // a write has started
		t.Fatal("it is closed")
	}
	r.Close()
	if b.users.Load() != 1 || len(b.data) == 0 {
		t.Error("the memory is free while it is written")
	}
	r.end()
	if b.users.Load() != 0 || len(b.data) != 0 {
		t.Error("the memory is not free after the write")
	}
	if n, err := Conn(c).(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: r, N: 10}); n != 0 || err == nil {
		t.Errorf("a closed body was written: %d, %v", n, err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed body was read")
	}
	c.Close()
}

// TestConn checks that a body is sent whole and unchanged, however the transport wraps it.
func TestConn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- nil
			return
		}
		data, _ := io.ReadAll(c)
		got <- data
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("0123456789"), 100<<10)
	r := NewReader(data, nil)
	head := make([]byte, 3)
	io.ReadFull(r, head)
	out := Conn(c)
	out.Write(head)
	limited := &io.LimitedReader{R: r, N: int64(len(data)) - 3}
	if n, err := io.Copy(out, limited); err != nil || n != int64(len(data))-3 || limited.N != 0 {
		t.Errorf("%d bytes, %v; %d are left", n, err, limited.N)
	}
	if n, err := io.Copy(out, bytes.NewReader([]byte("!"))); err != nil || n != 1 {
		t.Errorf("another reader: %d, %v", n, err)
	}
	out.Close()
	if !bytes.Equal(<-got, append(data, '!')) {
		t.Error("the received bytes differ from the sent ones")
	}
	if pipe, _ := net.Pipe(); Conn(pipe) != pipe {
		t.Error("a pipe is no TCP connection")
	}
}
