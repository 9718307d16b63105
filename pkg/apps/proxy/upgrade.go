package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/h2upgrade"
	"github.com/hostless/hostless/pkg/httpx"
	"github.com/hostless/hostless/pkg/sock"
)

const (
	switchTimeout        = 2 * time.Minute        // for an app's answer to an upgrade
	lingerTimeout        = 500 * time.Millisecond // for a client to read a refusal
	clientCheckEvery     = 100 * time.Millisecond // between looks at a client that waits for the app's answer
	halfClosedCheckEvery = time.Second            // and at one that has ended its side of an agreed one
	tunnelBuffer         = 16 << 10
)

// upgradeOf gives the protocol that a request asks to switch to, or "". An
// upgrade with a body, and the obsolete h2c, are forwarded without it: a server
// may always ignore Upgrade (RFC 9110 section 7.8).
func upgradeOf(r *http.Request) string {
	if len(r.Header["Upgrade"]) == 0 || !httpx.HasToken(r.Header["Connection"], "upgrade") || r.ContentLength != 0 || r.ProtoMajor != 1 || r.ProtoMinor == 0 {
		return ""
	}
	protocol := strings.Join(r.Header["Upgrade"], ", ")
	if strings.EqualFold(protocol, "h2c") {
		return ""
	}
	return protocol
}

// upgrade forwards a request that asks for another protocol, and where the app
// agrees passes bytes both ways until both sides have ended.
func (h *Handler) upgrade(s *serving, w http.ResponseWriter, r *http.Request, rt *routes.Entry, host, protocol string) {
	x := h.newRequest(r, rt)
	x.Upgrade, x.Body = protocol, nil
	// A client that has ended its side already looks to the server like one that
	// has left; it has not.
	alive := r.Context()
	if _, stream := w.(h2upgrade.Stream); !stream && sock.OnDisconnectOf(r.Context()) == nil {
		alive = h.closing // package front knows the two apart
	}
	c, err := h.connect(alive, x)
	if err != nil {
		h.unreachable(s, w, r, rt, host, err)
		return
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		c.Close()
		h.log.Error("connection cannot be upgraded", "error", err)
		panic(http.ErrAbortHandler)
	}
	// What the server has read ahead comes first; its reader would take the end
	// of the client's side for the end of the request.
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	from := io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), client)
	t := &tunnel{serving: s, protocol: protocol, client: client, from: from, app: c, again: func(err error) *http1.Conn { return rt.Upstream().Reconnect(alive, x.Target, err) }, switched: make(chan bool, 1), received: make(chan struct{})}
	defer t.end()
	defer context.AfterFunc(h.closing, t.end)()
	if ctx := r.Context(); ctx.Err() == nil {
		defer context.AfterFunc(ctx, t.end)()
	}
	if err := t.open(x); err != nil {
		h.log.Debug("upgrade failed", "hostname", host, "error", err)
		status, header, body := h.page(h.diagnose(rt, host, err)).Render(r)
		t.refuse(status, header, body)
	}
	if t.cut {
		panic(http.ErrAbortHandler) // a stream of HTTP/2 must not look complete
	}
}

// connect connects to the app; while that of a run starts, it is waited for.
func (h *Handler) connect(ctx context.Context, x *exchange) (c *http1.Conn, err error) {
	err = h.hold(ctx, x, h.cfg.Hold, func() error {
		c, err = x.route.Upstream().Connect(ctx, x.Target)
		return err
	})
	return c, err
}

// tunnel is an upgraded connection, or one on its way to be.
type tunnel struct {
	serving  *serving
	protocol string // that was asked for
	client   net.Conn
	from     io.Reader               // what the client sends, with what was read of it ahead
	again    func(error) *http1.Conn // connects anew in another protocol; nil where there is none
	switched chan bool               // capacity 1: whether the app has agreed
	received chan struct{}           // closed when the app has ended its side
	cut      bool                    // the app's side broke off; written by open's goroutine

	mu    sync.Mutex  // over a change of app, which is made before it has answered
	app   *http1.Conn // fixed once switched was sent
	ended bool
}

// open sends the request, passes on the app's answer and, where it agrees, all
// that follows. An error means that the client has had no answer yet.
func (t *tunnel) open(x *exchange) error {
	if err := t.ask(x); err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer close(t.received)
	sending.Go(t.send)
	for {
		head, err := t.app.ReadHead()
		switch {
		case err != nil:
			if t.retry(err) && t.ask(x) == nil {
				continue
			}
			t.switched <- false
			t.client.SetReadDeadline(time.Unix(1, 0))
			return err
		case head.Status == http.StatusSwitchingProtocols:
			t.app.SetDeadline(time.Time{})
			t.switched <- true
			if _, err := io.WriteString(t.client, head.Text); err == nil {
				t.serving.switched(t.protocol)
				t.receive()
			} else {
				t.end()
			}
			return nil
		case head.Status == http.StatusBadRequest && t.retry(http1.ErrRefused) && t.ask(x) == nil:
			continue
		case head.Status < 200:
			if _, err := io.WriteString(t.client, head.Text); err != nil {
				t.end()
			}
			continue
		}
		t.app.SetDeadline(time.Time{})
		t.relayRefusal(head, x)
		t.switched <- false
		return nil
	}
}

// ask sends the request to the app.
func (t *tunnel) ask(x *exchange) error {
	t.app.SetDeadline(time.Now().Add(switchTimeout))
	_, err := t.app.Write(x.AppendHead(nil))
	return err
}

// retry goes over to a connection in the protocol that the app speaks, where that
// turns out to be another one. Nothing was read on the first.
func (t *tunnel) retry(err error) bool {
	c := t.again(err)
	if c == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.app.Close()
	t.app = c
	if t.ended {
		c.Close()
	}
	return true
}

// closeApp ends the app's side.
func (t *tunnel) closeApp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.app.Close()
}

// send passes the client's bytes on: those that came early wait for the app's
// agreement. It ends the app's side when the client has ended its own.
func (t *tunnel) send() {
	buf := make([]byte, tunnelBuffer)
	n, err := t.from.Read(buf)
	if err != nil && err != io.EOF {
		t.closeApp() // the client has left
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
// own. An app may never do so, and a client that has left does not wait for it.
func (t *tunnel) outlive() {
	look := time.NewTicker(halfClosedCheckEvery)
	defer look.Stop()
	for {
		select {
		case <-t.received:
			return
		case <-look.C:
			if peerLeft(t.client) {
				t.end()
				return
			}
		}
	}
}

// agreed waits for the app's answer. The end of the client's side does not show
// whether it still waits for one, so the system is asked.
func (t *tunnel) agreed() bool {
	look := time.NewTicker(clientCheckEvery)
	defer look.Stop()
	for {
		select {
		case ok := <-t.switched:
			return ok
		case <-look.C:
			if peerLeft(t.client) {
				t.closeApp()
			}
		}
	}
}

// peerLeft reports whether a connection knows that nobody holds its other end.
func peerLeft(c net.Conn) bool {
	for {
		if asked, ok := c.(interface{ PeerLeft() bool }); ok {
			return asked.PeerLeft()
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
			t.cut = true
			t.end()
			return
		}
	}
}

// end cuts both sides.
func (t *tunnel) end() {
	t.closeApp()
	t.client.Close()
}

// closeWrite ends one direction; where that is not possible, both.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	c.Close()
}

// relayRefusal passes on a response that does not switch protocols; the
// connection ends with it.
func (t *tunnel) relayRefusal(head *http1.Head, x *exchange) {
	header := http.Header{}
	in, err := t.app.Response(head, x.Method, header)
	if err != nil {
		t.cut = true
		t.end()
		return
	}
	x.origin.rewrite(header)
	line, _, _ := strings.Cut(head.Text, "\n")
	line = "HTTP/1.1" + strings.TrimRight(line, "\r")[len("HTTP/1.1"):] // also for an app of HTTP/1.0: the framing is ours
	t.respond(line, in.Status, header, in.Body, in.Length < 0)
}

// refuse responds with one of our pages.
func (t *tunnel) refuse(status int, header http.Header, body []byte) {
	t.client.SetReadDeadline(time.Time{})
	header.Set("Content-Length", strconv.Itoa(len(body)))
	t.respond("HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status), status, header, bytes.NewReader(body), false)
}

// respond writes a whole response on the hijacked connection and ends it, so that
// what the client may still send does not take the response from it.
func (t *tunnel) respond(line string, status int, header http.Header, body io.Reader, chunked bool) {
	t.serving.Status = status
	delete(header, "Trailer") // those after a refusal are not passed on
	if stream, ok := t.client.(h2upgrade.Responder); ok {
		if stream.Respond(status, header, body) != nil {
			t.cut = true
		}
		t.client.Close()
		return
	}
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
