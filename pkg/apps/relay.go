package apps

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

const copySize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// spliceFrom is the size of a body from which on it goes from socket to socket
// without passing through this process.
const spliceFrom = 128 << 10

// relay copies an answer's body to the client. What the app has sent is passed
// on before more of it is waited for, so events arrive as they are made.
func relay(w http.ResponseWriter, r *http.Request, in *incoming) error {
	if done, err := spliced(w, r, in); done {
		return err
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	flusher, _ := w.(http.Flusher)
	left := in.length
	if left != 0 && !in.body.ready() && flusher != nil {
		flusher.Flush() // the head is there before the body
	}
	for {
		n, err := in.body.Read(*buf)
		if n > 0 {
			if left > 0 {
				left -= int64(n)
			}
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
			if left != 0 && !in.body.ready() && flusher != nil {
				flusher.Flush()
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// spliced copies a long body of known length by the kernel, where both ends are
// plain TCP.
func spliced(w http.ResponseWriter, r *http.Request, in *incoming) (done bool, err error) {
	raw, ok := in.body.(interface {
		direct() (c *net.TCPConn, buffered []byte, left int64)
		took(n int64)
	})
	if !ok || in.length < spliceFrom || r.TLS != nil || r.ProtoMajor != 1 || r.Method == http.MethodHead {
		return false, nil
	}
	to, ok := w.(io.ReaderFrom)
	if !ok {
		return false, nil
	}
	c, buffered, left := raw.direct()
	if c == nil {
		return false, nil
	}
	if len(buffered) > 0 {
		n, err := w.Write(buffered)
		raw.took(int64(n))
		left -= int64(n)
		if err != nil {
			return true, err
		}
	}
	n, err := to.ReadFrom(io.LimitReader(c, left))
	raw.took(n)
	if err == nil && n < left {
		err = io.ErrUnexpectedEOF
	}
	return true, err
}

// spliceTail is the end of a body that the kernel does not copy: that the client
// has sent all is to be known before the app has it all, and may answer.
const spliceTail = 4 << 10

// spliceBody has the kernel copy a long body of known length to the app, but for
// its tail, where it comes straight from the client's connection. It gives what
// is left to be sent.
func (u *conn) spliceBody(x *outgoing) (left int64, err error) {
	body, ok := x.body.Reader.(interface {
		Direct() (ahead []byte, rest *net.TCPConn)
		Took(n int64)
		Left() int64
		Broken() bool
	})
	to, plain := u.Conn.(*net.TCPConn)
	if !ok || !plain || x.body.length < spliceFrom {
		return x.body.length, nil
	}
	ahead, from := body.Direct()
	if _, err := to.Write(ahead); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(io.LimitReader(from, body.Left()-spliceTail))
	body.Took(n)
	if body.Left() > spliceTail {
		x.body.failed.Store((err == nil || body.Broken()) && !x.body.stopped.Load())
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return body.Left(), err
}
