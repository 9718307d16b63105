package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
)

const (
	formSize  = 4 << 10               // length of a request body that is sent together with its head
	formWait  = 25 * time.Millisecond // how long to wait for such a body, which usually arrives with its head
	maxResend = 2                     // how often a request that an app did not read is sent again
)

// setBody sets the body of the request to the app. A short one is sent with the head in
// one write if it has arrived. An app then reads both or nothing, so that a request which
// it did not read can be sent again (see resend).
func (x *exchange) setBody(r *http.Request) {
	length := r.ContentLength
	if length == 0 || r.Body == nil || r.Body == http.NoBody {
		return
	}
	if length < 0 || length > formSize || len(r.Header["Expect"]) > 0 {
		x.Body = &http1.RequestBody{Reader: r.Body, Length: length}
		return
	}
	f := newForm(length)
	if ahead, ok := r.Body.(interface{ Buffered() int64 }); ok && ahead.Buffered() >= length {
		f.read(r.Body)
	} else {
		go f.read(r.Body)
		wait := time.NewTimer(formWait)
		select {
		case <-f.done:
		case <-wait.C:
		}
		wait.Stop()
	}
	if f.complete() {
		x.Data = f.data
	} else {
		x.Body = &http1.RequestBody{Reader: f, Length: length}
		x.form = f
	}
}

// endForm stops reading a body that has not arrived, and waits until nothing reads it.
func (x *exchange) endForm() {
	if x.form != nil {
		x.Body.Stop()
		<-x.form.done
	}
}

// form is a short request body. It is an io.Reader for the case that the body has not
// arrived within formWait: then its parts are forwarded as they arrive.
type form struct {
	data []byte
	done chan struct{} // closed when the client has sent everything, or has disconnected

	mu    sync.Mutex
	more  sync.Cond // n or ended has changed
	n     int       // data[:n] has arrived
	ended bool
	err   error // why the body is incomplete
	used  int   // data[:used] has been returned by Read
}

func newForm(length int64) *form {
	f := &form{data: make([]byte, length), done: make(chan struct{})}
	f.more.L = &f.mu
	return f
}

// read reads the body until its end or an error.
func (f *form) read(body io.Reader) {
	defer close(f.done)
	for at := 0; ; {
		n, err := body.Read(f.data[at:])
		at += n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		f.mu.Lock()
		f.n = at
		if f.ended = at == len(f.data) || err != nil; at < len(f.data) {
			f.err = err
		}
		ended := f.ended
		f.mu.Unlock()
		f.more.Broadcast()
		if ended {
			return
		}
	}
}

// complete reports whether the whole body has been read, without waiting.
func (f *form) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended && f.err == nil
}

// Read implements io.Reader.
func (f *form) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.used == f.n && !f.ended {
		f.more.Wait()
	}
	if f.used < f.n {
		n := copy(p, f.data[f.used:f.n])
		f.used += n
		return n, nil
	}
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// resend waits and reports whether a request is to be sent again because the app closed
// the connection before reading it. That happens while a dev server restarts: until the
// process ends, the kernel still accepts connections on its socket, which it never reads.
// If sending a request twice could do harm, the app must now refuse connections: then its
// socket was closed, which resets the connections that it had not accepted. Otherwise it
// may have reset this one on purpose, after reading the request.
func (h *Handler) resend(ctx context.Context, x *exchange, err error, resent int) bool {
	if resent == maxResend || x.Body != nil || !x.route.Alive() || !http1.NotRead(err) {
		return false
	}
	if !safe(x.Method) && !refuses(ctx, x) {
		return false
	}
	h.log.Debug("a request that the app did not read is sent again", "hostname", x.route.Name, "method", x.Method)
	wait := time.NewTimer(retryWait)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
	case <-h.closing.Done():
	}
	return false
}

// safe reports whether a method changes nothing (RFC 9110 section 9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// refuses reports whether the app refuses connections.
func refuses(ctx context.Context, x *exchange) bool {
	c, err := x.route.Upstream().Connect(ctx, x.Target)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
