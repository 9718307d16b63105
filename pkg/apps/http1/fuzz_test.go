package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
)

// bytesConn is a connection on which the app has sent everything and closed.
type bytesConn struct {
	net.Conn
	*bytes.Reader
}

func (c bytesConn) Read(p []byte) (int, error)      { return c.Reader.Read(p) }
func (c bytesConn) Write(p []byte) (int, error)     { return len(p), nil }
func (c bytesConn) Close() error                    { return nil }
func (c bytesConn) SetDeadline(time.Time) error     { return nil }
func (c bytesConn) SetReadDeadline(time.Time) error { return nil }

// FuzzAnswer compares our reading of a response with net/http's: if both accept it, they
// must agree, and what net/http reports as incomplete must not be complete for us.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.1 204 No\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
		"HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 304 N\r\nConnection: X, close\r\nX: 1\r\n\r\n", "HTTP/1.1 200\nA: b\n c\n\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0003\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 200 \nTransfer-Encoding: Chunked\n\n0\r\n\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, isHead bool) {
		method := http.MethodGet
		if isHead {
			method = http.MethodHead
		}
		// ours
		u := NewConn(bytesConn{Reader: bytes.NewReader(sent)}, Target{})
		b := &directBody{up: u, stop: func() bool { return false }}
		header := http.Header{}
		h, err := u.ReadHead()
		for err == nil && h.Status < 200 && h.Status != http.StatusSwitchingProtocols {
			if err = h.Fields(http.Header{}); err == nil {
				h, err = u.ReadHead()
			}
		}
		if err != nil || h.Status == http.StatusSwitchingProtocols || b.frame(h, method, header) != nil {
			return
		}
		var body []byte
		body, err = io.ReadAll(b)
		// net/http's
		r := bufio.NewReader(bytes.NewReader(sent))
		var resp *http.Response
		var readErr error
		for {
			resp, readErr = http.ReadResponse(r, &http.Request{Method: method})
			if readErr != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
				break
			}
		}
		if readErr != nil {
			return
		}
		want, wantErr := io.ReadAll(resp.Body)
		if resp.StatusCode != h.Status {
			t.Fatalf("status %d, net/http %d", h.Status, resp.StatusCode)
		}
		if err == nil && (wantErr != nil || !bytes.Equal(body, want)) {
			t.Fatalf("body %q; net/http %q, %v", body, want, wantErr)
		}
		if err != nil {
			return
		}
		named := bytes.Contains(bytes.ToLower(sent), []byte("connection")) // net/http may remove this field itself
		for name, values := range resp.Header {
			got := header[name]
			if httpx.HopByHop(name) || named && got == nil || strings.ContainsRune(name, ' ') { // net/http keeps a name with a space before the colon
				continue
			}
			if flat(got) != flat(values) {
				t.Fatalf("%s: %q, net/http %q", name, got, values)
			}
		}
	})
}

// flat removes the whitespace of folded lines, whose amount is not specified.
func flat(values []string) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(strings.Join(strings.Fields(v), " "))
		b.WriteByte('|')
	}
	return b.String()
}
