package sock

import (
	"bytes"
	"errors"
	"net"
	"testing"
)

// recorder is a connection that records each Write.
type recorder struct {
	net.Conn
	calls []string
	err   error
	reads int
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	r.calls = append(r.calls, string(p))
	return len(p), nil
}

func (r *recorder) Read(p []byte) (int, error) { r.reads++; return 0, nil }

func TestBatch(t *testing.T) {
	out, in := &recorder{}, &recorder{}
	b, from := NewBatch(out), NewBatch(in)
	from.FlushBefore(b)
	b.Write([]byte("1"))
	b.Hold()
	b.Write([]byte("2"))
	b.Hold()
	b.Write([]byte("3"))
	if len(out.calls) != 1 {
		t.Fatalf("written too early: %q", out.calls)
	}
	from.Read(nil)
	b.Write([]byte("4"))
	b.Hold()
	large := bytes.Repeat([]byte("x"), maxHeld)
	b.Write([]byte("5"))
	b.Write(large)
	from.Read(nil)
	want := []string{"1", "23", "4", "5" + string(large)}
	if len(out.calls) != len(want) {
		t.Fatalf("%d calls, want %d", len(out.calls), len(want))
	}
	for i := range want {
		if out.calls[i] != want[i] {
			t.Errorf("call %d: %.20q, want %.20q", i, out.calls[i], want[i])
		}
	}
	b.Hold()
	b.Write([]byte("6"))
	out.err = errors.New("broken")
	from.Read(nil)
	if in.reads != 3 {
		t.Errorf("%d reads", in.reads)
	}
	if _, err := b.Write([]byte("7")); err != out.err {
		t.Errorf("after a broken flush: %v", err)
	}
	if b.NetConn() != net.Conn(out) {
		t.Error("the connection below is another one")
	}
}
