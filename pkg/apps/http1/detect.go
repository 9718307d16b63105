package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"
)

// Protocols that a server was found to speak.
const (
	speaksUnknown int32 = iota
	speaksHTTP1
	speaksTLS
	speaksHTTP2 // HTTP/2 without TLS, and not HTTP/1
)

const (
	probeTimeout = 500 * time.Millisecond // limit for probing a server's protocol
	bodyHold     = 100 * time.Millisecond // time for a server to reject a request's head
)

// roundTripDetected is RoundTrip for a server whose protocol is not known yet. A server
// of another protocol does not process a request that it cannot parse, so the request is
// repeated with the right protocol. The body is delayed briefly after the head, during
// which such a server closes the connection, so that the body can be sent again.
func (u *Upstream) roundTripDetected(ctx context.Context, x *Request, header http.Header) (*Response, error) {
	x.holdBody = bodyHold
	before := maps.Clone(header)
	in, err := u.transport.roundTrip(ctx, x, header)
	x.holdBody = 0
	if err == nil && !refusesPlainHTTP(in) {
		u.speaks.Store(speaksHTTP1)
		return in, nil
	}
	if err != nil && !mayBeAnother(err) || ctx.Err() != nil || x.Body != nil && x.Body.Failed.Load() {
		return in, err
	}
	speaks, probeErr := u.probe(ctx, x.Target)
	if probeErr != nil || speaks != speaksTLS && speaks != speaksHTTP2 {
		return in, err
	}
	u.speaks.Store(speaks)
	if err == nil {
		if x.Body != nil && !x.Body.abandon() {
			return in, err
		}
		in.Body.Finish()
		clear(header) // of the refusal's fields
		maps.Copy(header, before)
	}
	if x.Body != nil && !x.Body.rewind() {
		return in, err
	}
	return u.RoundTrip(ctx, x, header)
}

// ErrRefused represents a 400 response to an upgrade, which may be a TLS server's way of
// refusing plain HTTP.
var ErrRefused = errors.New("the upgrade was refused with status 400")

// refusesPlainHTTP reports whether a response is a TLS server's refusal of plain HTTP:
// Go, nginx and Apache say so in the body of a 400. The body remains readable.
func refusesPlainHTTP(in *Response) bool {
	if in.Status != http.StatusBadRequest || in.Length > 4<<10 {
		return false
	}
	read, err := io.ReadAll(io.LimitReader(in.Body, 4<<10))
	in.Body = &rereadBody{read: read, err: err, ResponseBody: in.Body}
	text := strings.ToLower(string(read))
	for _, part := range []string{"http request to an https server", "plain http request was sent to https port", "speaking plain http to an ssl-enabled server"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// rereadBody is a body whose beginning was read already.
type rereadBody struct {
	read []byte
	err  error
	ResponseBody
}

// Read implements io.Reader.
func (b *rereadBody) Read(p []byte) (int, error) {
	if len(b.read) > 0 {
		n := copy(p, b.read)
		b.read = b.read[n:]
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.ResponseBody.Read(p)
}

// Ready implements ResponseBody.
func (b *rereadBody) Ready() bool { return len(b.read) > 0 || b.err != nil || b.ResponseBody.Ready() }

// mayBeAnother reports whether an error may come from a server that does not speak
// HTTP/1: it closed the connection, or sent a TLS alert (RFC 8446 section 6) or an HTTP/2
// frame (RFC 9113 section 4.1).
func mayBeAnother(err error) bool {
	var proto *ProtocolError
	if errors.As(err, &proto) {
		return strings.HasPrefix(proto.Received, "\x15\x03") || strings.HasPrefix(proto.Received, "\x00\x00")
	}
	return errors.Is(err, errStale) || err == ErrRefused
}

// probe determines the protocol of a server that has refused HTTP/1, on separate
// connections. It returns speaksUnknown on a timeout: some servers wait for a line end
// that a TLS client does not send. An error means that no connection could be opened.
func (u *Upstream) probe(ctx context.Context, t Target) (int32, error) {
	c, err := u.connect(ctx, t)
	if err != nil {
		return speaksUnknown, err
	}
	waiting, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	secured := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}) // nothing is sent over it
	err = secured.HandshakeContext(waiting)
	c.Close()
	switch {
	case err == nil:
		return speaksTLS, nil
	case waiting.Err() != nil:
		return speaksUnknown, nil
	}
	if c, err = u.connect(ctx, t); err != nil {
		return speaksUnknown, err
	}
	defer c.Close()
	if speaksFrames(c) {
		return speaksHTTP2, nil
	}
	return speaksHTTP1, nil
}

// speaksFrames reports whether a server answers the HTTP/2 preface with SETTINGS (RFC
// 9113 section 3.4).
func speaksFrames(c net.Conn) bool {
	c.SetDeadline(time.Now().Add(probeTimeout))
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	var head [9]byte
	_, err := io.ReadFull(c, head[:])
	const settings = 4
	return err == nil && head[0] == 0 && head[3] == settings
}
