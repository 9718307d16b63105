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
	switchTimeout        = 2 * time.Minute        // for the app's response to an upgrade
	lingerTimeout        = 500 * time.Millisecond // for the client to read a refusal
	clientCheckEvery     = 100 * time.Millisecond // between checks whether a client that waits for the app's response is still there
	halfClosedCheckEvery = time.Second            // the same for a client that has half-closed an upgraded connection
	tunnelBuffer         = 16 << 10
)

// upgradeOf returns the protocol that a request asks to switch to, or "". An upgrade with
// a body, or to the obsolete h2c, is forwarded as a normal request: a server may always
// ignore Upgrade (RFC 9110 section 7.8).
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

// upgrade forwards an upgrade request. If the app accepts it, it copies bytes in both
// directions until both sides have closed.
func (h *Handler) upgrade(s *serving, w http.ResponseWriter, r *http.Request, rt *routes.Entry, host, protocol string) {
	x := h.newRequest(r, rt)
	x.Upgrade, x.Body = protocol, nil
	// net/http cancels the request's context when the client half-closes its connection,
	// which is no disconnect.
	alive := r.Context()
	if _, stream := w.(h2upgrade.Stream); !stream && sock.OnDisconnectOf(r.Context()) == nil {
		alive = h.closing // package front distinguishes the two
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
	// Data that the server has buffered comes first. Its reader is not used further,
	// because it would treat a half-close as the end of the request.
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	from := io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), client)
	t := &tunnel{serving: s, protocol: protocol, client: client, from: from, app: c, reconnect: func(err error) *http1.Conn { return rt.Upstream().Reconnect(alive, x.Target, err) }, switched: make(chan bool, 1), received: make(chan struct{})}
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
		panic(http.ErrAbortHandler) // an HTTP/2 stream must not look complete
	}
}

// connect connects to the app. It waits for an app whose run is starting.
func (h *Handler) connect(ctx context.Context, x *exchange) (c *http1.Conn, err error) {
	err = h.hold(ctx, x, func() bool { return false }, func() error {
		c, err = x.route.Upstream().Connect(ctx, x.Target)
		return err
	})
	return c, err
}

// tunnel is an upgraded connection, or one whose upgrade is in progress.
type tunnel struct {
	serving   *serving
	protocol  string // the requested protocol
	client    net.Conn
	from      io.Reader               // the client's data, including what was buffered
	reconnect func(error) *http1.Conn // reconnects with another protocol; returns nil if there is none
	switched  chan bool               // capacity 1: whether the app has accepted
	received  chan struct{}           // closed when the app has closed its side
	cut       bool                    // the app's connection failed; written by open's goroutine

	mu    sync.Mutex  // guards the replacement of app, which is only possible before its response
	app   *http1.Conn // does not change after switched was sent
	ended bool
}

// open sends the request and forwards the app's response and, if the app accepts, all
// data that follows. An error means that the client has not received a response.
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

// retry switches to a connection with the protocol that the app actually speaks. Nothing
// was read on the first one.
func (t *tunnel) retry(err error) bool {
	c := t.reconnect(err)
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

// closeApp closes the connection to the app.
func (t *tunnel) closeApp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.app.Close()
}

// send forwards the client's data. Early data waits until the app has accepted. When the
// client half-closes, so does send.
func (t *tunnel) send() {
	buf := make([]byte, tunnelBuffer)
	n, err := t.from.Read(buf)
	if err != nil && err != io.EOF {
		t.closeApp() // the client has disconnected
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

// outlive waits, after the client has half-closed, until the app closes its side. An app
// may never do so; the connection is closed if the client disconnects.
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

// agreed waits for the app's response. A half-close by the client does not show whether
// it still waits, so agreed asks the operating system.
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

// peerLeft reports whether the peer has closed its end of the connection completely.
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

// receive forwards the app's data.
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

// end closes both connections.
func (t *tunnel) end() {
	t.closeApp()
	t.client.Close()
}

// closeWrite half-closes a connection, or closes it if that is not possible.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	c.Close()
}

// relayRefusal forwards a response that does not switch protocols, and closes the
// connection.
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
	line = "HTTP/1.1" + strings.TrimRight(line, "\r")[len("HTTP/1.1"):] // also for an HTTP/1.0 app: the framing is ours
	t.respond(line, in.Status, header, in.Body, in.Length < 0)
}

// refuse responds with an error page.
func (t *tunnel) refuse(status int, header http.Header, body []byte) {
	t.client.SetReadDeadline(time.Time{})
	header.Set("Content-Length", strconv.Itoa(len(body)))
	t.respond("HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status), status, header, bytes.NewReader(body), false)
}

// respond writes a complete response on the hijacked connection and closes it. It reads
// what the client still sends, so that a TCP reset cannot destroy the response.
func (t *tunnel) respond(line string, status int, header http.Header, body io.Reader, chunked bool) {
	t.serving.Status = status
	delete(header, "Trailer") // trailers of a refusal are not forwarded
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
			t.end() // aborted, not closed cleanly
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
