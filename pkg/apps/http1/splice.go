package http1

import (
	"errors"
	"io"
	"net"
	"sync"
)

const copySize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// spliceFrom is the size of a body from which on it goes from socket to socket
// without passing through this process.
const spliceFrom = 128 << 10

// spliceTail is the end of a body that the kernel does not copy: that the client
// has sent all is to be known before the app has it all, and may answer.
const spliceTail = 4 << 10

// spliceBody has the kernel copy a long body of known length to the app, but for
// its tail, where it comes straight from the client's connection. It gives what
// is left to be sent.
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
		return 0, errForsaken
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
