package http1

import (
	"errors"
	"io"
	"net"
	"sync"
)

const copySize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// spliceFrom is the minimum size of a body that is copied from socket to socket in the
// kernel.
const spliceFrom = 128 << 10

// spliceTail is the part at the end of a body that is not copied in the kernel. The app
// may respond once it has the whole body, and before that we must know that the client
// has sent all of it.
const spliceTail = 4 << 10

// spliceBody copies a long body of known length in the kernel, except for its tail, if
// the body comes directly from the client's connection. It returns the number of bytes
// left to send.
func (u *Conn) spliceBody(x *Request) (left int64, err error) {
	body, ok := x.Body.Reader.(interface {
		Direct() (ahead []byte, rest *net.TCPConn)
		Took(n int64)
		Left() int64
		Broken() bool
	})
	to, plain := u.Conn.(*net.TCPConn)
	if !ok || !plain || x.Body.Length < spliceFrom {
		return x.Body.Length, nil
	}
	if !x.Body.state.CompareAndSwap(bodyUnread, bodyRead) {
		return 0, errBodyAbandoned
	}
	ahead, from := body.Direct()
	if _, err := to.Write(ahead); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(io.LimitReader(from, body.Left()-spliceTail))
	body.Took(n)
	if body.Left() > spliceTail {
		x.Body.Failed.Store((err == nil || body.Broken()) && !x.Body.Stopped.Load())
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return body.Left(), err
}
