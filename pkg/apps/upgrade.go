package apps

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	switchTimeout = 2 * time.Minute        // for an app's answer to an upgrade
	lingerTimeout = 500 * time.Millisecond // for a client to read a refusal
	goneLook      = 100 * time.Millisecond // between looks at a client that waits for the app's answer
	halfLook      = time.Second            // and at one that has ended its side of an agreed one
	tunnelBuffer  = 16 << 10
)

// upgradeOf gives the protocol that a request asks to go over to, or "". HTTP/2
// asks by extended CONNECT (RFC 8441), whose :protocol the server shows as a
// field. An upgrade with a body, and the obsolete h2c, are requests like others:
// an Upgrade may always be passed over (RFC 9110 section 7.8).
func upgradeOf(r *http.Request) string {
	if r.ProtoMajor == 2 {
		if values := r.Header[":protocol"]; r.Method == http.MethodConnect && len(values) > 0 {
			return values[0]
		}
		return ""
	}
	if len(r.Header["Upgrade"]) == 0 || !hasToken(r.Header["Connection"], "upgrade") || r.ContentLength != 0 || !r.ProtoAtLeast(1, 1) {
		return ""
	}
	protocol := strings.Join(r.Header["Upgrade"], ", ")
	if strings.EqualFold(protocol, "h2c") {
		return ""
	}
	return protocol
}

// upgrade takes a request that wants another protocol to its app, and where the
// app agrees passes bytes both ways until both sides have ended.
func (p *Plane) upgrade(w http.ResponseWriter, r *http.Request, rt *route, host, protocol string) {
	x := p.outgoing(r, rt)
	x.upgrade, x.body = protocol, nil
	// A client that has ended its side already looks to the server like one that
	// has gone; it is not.
	alive := r.Context()
	if r.ProtoMajor == 1 {
		alive = p.closing
	}
	c, err := p.reachConn(alive, x)
	if err != nil {
		p.unreachable(w, r, rt, host, err)
		return
	}
	defer c.Close()
	defer context.AfterFunc(p.closing, func() { c.Close() })()
	u := newConn(c, x.target)
	if r.ProtoMajor == 2 {
		p.bridge(w, r, x, u, host)
		return
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.log.Error("connection cannot be upgraded", "error", err)
		panic(http.ErrAbortHandler)
	}
	defer client.Close()
	defer context.AfterFunc(p.closing, func() { client.Close() })()
	if ctx := r.Context(); ctx.Err() == nil {
		defer context.AfterFunc(ctx, func() { client.Close(); c.Close() })()
	}
	// What the server has read ahead comes first; its reader would take the end
	// of the client's side for the end of the request.
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	from := io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), client)
	t := &tunnel{client: client, from: from, app: u, switched: make(chan bool, 1), received: make(chan struct{})}
	if err := t.open(x); err != nil {
		p.log.Debug("upgrade failed", "hostname", host, "error", err)
		status, header, body := p.page(r, p.diagnose(rt, host, err))
		t.refuse(status, header, body)
	}
}

// reachConn connects to the app; while that of a run starts, it is waited for.
func (p *Plane) reachConn(ctx context.Context, x *outgoing) (net.Conn, error) {
	c, err := x.route.upstream.dial(ctx, x.target)
	var dial *dialError
	if err == nil || !errors.As(err, &dial) || !starting(x.route) {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Hold)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for starting(x.route) {
		select {
		case <-ctx.Done():
			return nil, err
		case <-look.C:
		}
		x.target = x.route.target()
		if c, err = x.route.upstream.dial(ctx, x.target); err == nil {
			break
		}
	}
	return c, err
}

// tunnel is an upgraded connection, or one on its way to be.
type tunnel struct {
	client   net.Conn
	from     io.Reader // what the client sends, with what was read of it ahead
	app      *conn
	switched chan bool     // capacity 1: whether the app has agreed
	received chan struct{} // closed when the app has ended its side
}

// open sends the request, passes on the app's answer and, where it agrees, all
// that follows. An error means that the client has had no answer yet.
func (t *tunnel) open(x *outgoing) error {
	t.app.SetDeadline(time.Now().Add(switchTimeout))
	if _, err := t.app.Write(x.appendHead(nil)); err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer close(t.received)
	sending.Go(t.send)
	for {
		h, err := t.app.readHead()
		switch {
		case err != nil:
			t.switched <- false
			t.client.SetReadDeadline(time.Unix(1, 0))
			return err
		case h.status == http.StatusSwitchingProtocols:
			t.app.SetDeadline(time.Time{})
			t.switched <- true
			if _, err := io.WriteString(t.client, h.text); err == nil {
				t.receive()
			} else {
				t.end()
			}
			return nil
		case h.status < 200:
			if _, err := io.WriteString(t.client, h.text); err != nil {
				t.end()
			}
			continue
		}
		t.app.SetDeadline(time.Time{})
		t.relayRefusal(h, x.method)
		t.switched <- false
		return nil
	}
}

// send passes the client's bytes on: those that came early wait for the app's
// agreement. It ends the app's side when the client has ended its own.
func (t *tunnel) send() {
	buf := make([]byte, tunnelBuffer)
	n, err := t.from.Read(buf)
	if err != nil && err != io.EOF {
		t.app.Close() // the client is gone
	}
	if !t.agreed() {
		return
	}
	for {
		if n > 0 {
			if _, err := t.app.Write(buf[:n]); err != nil {
				t.end()
				return
			}
		}
		switch err {
		case nil:
		case io.EOF:
			closeWrite(t.app.Conn)
			t.outlive()
			return
		default:
			t.end()
			return
		}
		n, err = t.from.Read(buf)
	}
}

// outlive waits, after the client has ended its side, for the app to end its
// own. An app may never do so, and a client that is gone not wait for it.
func (t *tunnel) outlive() {
	look := time.NewTicker(halfLook)
	defer look.Stop()
	for {
		select {
		case <-t.received:
			return
		case <-look.C:
			if gone(t.client) {
				t.end()
				return
			}
		}
	}
}

// agreed waits for the app's answer. The end of the client's side tells nothing
// of whether it still waits for one: it is asked for meanwhile.
func (t *tunnel) agreed() bool {
	look := time.NewTicker(goneLook)
	defer look.Stop()
	for {
		select {
		case ok := <-t.switched:
			return ok
		case <-look.C:
			if gone(t.client) {
				t.app.Close()
			}
		}
	}
}

// gone reports whether a connection knows that nobody holds its other end.
func gone(c net.Conn) bool {
	for {
		if asked, ok := c.(interface{ Gone() bool }); ok {
			return asked.Gone()
		}
		wrapped, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return false
		}
		c = wrapped.NetConn()
	}
}

// receive passes the app's bytes on.
func (t *tunnel) receive() {
	buf := make([]byte, tunnelBuffer)
	for {
		n, err := t.app.Read(buf)
		if n > 0 {
			if _, err := t.client.Write(buf[:n]); err != nil {
				t.end()
				return
			}
		}
		switch err {
		case nil:
		case io.EOF:
			closeWrite(t.client)
			return
		default:
			t.end()
			return
		}
	}
}

// end cuts both sides.
func (t *tunnel) end() {
	t.app.Close()
	t.client.Close()
}

// closeWrite ends one direction; where that cannot be told, both.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	c.Close()
}

// relayRefusal passes on an answer that is no agreement; the connection ends
// with it.
func (t *tunnel) relayRefusal(h *head, method string) {
	b := &fastBody{up: t.app}
	header := http.Header{}
	if err := b.frame(h, method, header); err != nil {
		t.end()
		return
	}
	line, _, _ := strings.Cut(h.text, "\n")
	line = "HTTP/1.1" + strings.TrimRight(line, "\r")[len("HTTP/1.1"):] // also for an app of HTTP/1.0: the framing is ours
	t.answer(line, header, b, b.length < 0 && !b.ended)
}

// refuse answers with one of our pages.
func (t *tunnel) refuse(status int, header http.Header, body []byte) {
	t.client.SetReadDeadline(time.Time{})
	header.Set("Content-Length", strconv.Itoa(len(body)))
	t.answer("HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status), header, strings.NewReader(string(body)), false)
}

// answer writes a whole answer on the hijacked connection and ends it, so that
// what the client may still send does not take the answer from it.
func (t *tunnel) answer(line string, header http.Header, body io.Reader, chunked bool) {
	delete(header, "Trailer") // those after a refusal are not passed on
	header.Set("Connection", "close")
	if chunked {
		header.Set("Transfer-Encoding", "chunked")
	}
	w := bufio.NewWriter(t.client)
	io.WriteString(w, line+"\r\n")
	header.Write(w)
	io.WriteString(w, "\r\n")
	buf := make([]byte, tunnelBuffer)
	for {
		n, err := body.Read(buf)
		if n > 0 && chunked {
			io.WriteString(w, strconv.FormatInt(int64(n), 16)+"\r\n")
		}
		w.Write(buf[:n])
		if n > 0 && chunked {
			io.WriteString(w, "\r\n")
		}
		if err == nil && w.Flush() != nil || err != nil && err != io.EOF {
			t.end() // cut, not ended
			return
		}
		if err == io.EOF {
			break
		}
	}
	if chunked {
		io.WriteString(w, "0\r\n\r\n")
	}
	if w.Flush() != nil {
		t.end()
		return
	}
	closeWrite(t.client)
	t.client.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, t.client)
}

// bridge takes an HTTP/2 stream to an app that speaks HTTP/1.1.
func (p *Plane) bridge(w http.ResponseWriter, r *http.Request, x *outgoing, u *conn, host string) {
	defer context.AfterFunc(r.Context(), func() { u.Close() })()
	x.method = http.MethodGet
	if strings.EqualFold(x.upgrade, "websocket") {
		nonce := make([]byte, 16)
		rand.Read(nonce)
		x.add = append(x.add, field{"Sec-Websocket-Key", base64.StdEncoding.EncodeToString(nonce)})
		if len(r.Header["Sec-Websocket-Version"]) == 0 {
			x.add = append(x.add, field{"Sec-Websocket-Version", "13"})
		}
	}
	u.SetDeadline(time.Now().Add(switchTimeout))
	_, err := u.Write(x.appendHead(nil))
	var h *head
	for err == nil {
		if h, err = u.readHead(); err == nil && (h.status >= 200 || h.status == http.StatusSwitchingProtocols) {
			break
		}
	}
	if err != nil {
		p.unreachable(w, r, x.route, host, err)
		return
	}
	u.SetDeadline(time.Time{})
	b := &fastBody{up: u}
	agreed := h.status == http.StatusSwitchingProtocols
	if agreed {
		h.status = http.StatusOK
		err = h.each(w.Header(), &framing{length: -1})
		b.length = -1
		delete(w.Header(), "Sec-Websocket-Accept")
	} else {
		err = b.frame(h, x.method, w.Header())
	}
	if err != nil {
		p.unreachable(w, r, x.route, host, err)
		return
	}
	w.WriteHeader(h.status)
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		return
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) }()
	if agreed {
		sending.Go(func() {
			buf := make([]byte, tunnelBuffer)
			for {
				n, err := r.Body.Read(buf)
				if n > 0 {
					if _, err := u.Write(buf[:n]); err != nil {
						return
					}
				}
				if err == io.EOF {
					closeWrite(u.Conn)
					return
				}
				if err != nil {
					u.Close()
					return
				}
			}
		})
	}
	if err := relay(w, r, &incoming{status: h.status, length: b.length, body: b}); err != nil {
		panic(http.ErrAbortHandler)
	}
}
