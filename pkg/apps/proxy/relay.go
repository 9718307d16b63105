package proxy

import (
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/hostless/hostless/pkg/apps/http1"
)

const (
	copySize  = 32 << 10
	smallSize = 2 << 10
)

var smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallSize); return &b }}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// spliceFrom is the minimum size of a body that is copied from socket to socket in the
// kernel.
const spliceFrom = 128 << 10

// relay copies a response body to the client. It flushes before it waits for more data,
// so events arrive as they are sent.
func relay(w http.ResponseWriter, r *http.Request, in *http1.Response) error {
	if done, err := spliced(w, r, in); done {
		return err
	}
	// A stream is idle most of the time. It uses a small buffer then, and a large one
	// only while there is a lot of data.
	buf := smallBuffers.Get().(*[]byte)
	large := false
	release := func() {
		if large {
			copyBuffers.Put(buf)
		} else {
			smallBuffers.Put(buf)
		}
	}
	defer func() { release() }()
	resize := func(wanted bool) {
		if wanted == large {
			return
		}
		release()
		if large = wanted; large {
			buf = copyBuffers.Get().(*[]byte)
		} else {
			buf = smallBuffers.Get().(*[]byte)
		}
	}
	resize(in.Length > smallSize)
	flusher, _ := w.(http.Flusher)
	left := in.Length
	if left != 0 && !in.Body.Ready() && flusher != nil {
		flusher.Flush() // send the head before waiting for the body
	}
	for {
		n, err := in.Body.Read(*buf)
		if n > 0 {
			if left > 0 {
				left -= int64(n)
			}
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
			ready := in.Body.Ready()
			if left != 0 && !ready && flusher != nil {
				flusher.Flush()
			}
			resize(n == len(*buf) || large && (ready || in.Length > 0))
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

// spliced copies a long body of known length in the kernel, if both connections are plain
// TCP. It reports whether it did.
func spliced(w http.ResponseWriter, r *http.Request, in *http1.Response) (done bool, err error) {
	raw, ok := in.Body.(interface {
		Direct() (c *net.TCPConn, buffered []byte, left int64)
		Took(n int64)
	})
	if !ok || in.Length < spliceFrom || r.TLS != nil || r.ProtoMajor != 1 || r.Method == http.MethodHead {
		return false, nil
	}
	to, ok := w.(io.ReaderFrom)
	if !ok {
		return false, nil
	}
	c, buffered, left := raw.Direct()
	if c == nil {
		return false, nil
	}
	if len(buffered) > 0 {
		n, err := w.Write(buffered)
		raw.Took(int64(n))
		left -= int64(n)
		if err != nil {
			return true, err
		}
	}
	n, err := to.ReadFrom(io.LimitReader(c, left))
	raw.Took(n)
	if err == nil && n < left {
		err = io.ErrUnexpectedEOF
	}
	return true, err
}
