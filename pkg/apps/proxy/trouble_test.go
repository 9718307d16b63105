package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
)

// TestBrokenRequestBodies: an invalid body is reported as the client's error.
func TestBrokenRequestBodies(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		e.app(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		_, r := e.raw("POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(r), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadRequest || !resp.Close || !strings.Contains(string(text), codeBadRequest) {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	})
}

// TestTimeouts: an app that did not respond in time is distinguished from one that cannot
// be reached.
func TestTimeouts(t *testing.T) {
	p := openPlane(t, options{Config: Config{URL: func(h string) string { return h }}})
	defer p.Close()
	if _, err := p.Register(t.Context(), routes.Registration{Name: "app", Port: 3000}); err != nil {
		t.Fatal(err)
	}
	rt := p.Lookup("app.localhost", "/")
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	slow := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{&http1.DialError{Err: refused}, http.StatusBadGateway, codeRefused},
		{&http1.DialError{Err: slow}, http.StatusGatewayTimeout, codeRefused},
		{slow, http.StatusGatewayTimeout, codeSilent},
		{&http1.DialError{Err: &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere.example"}}}, http.StatusBadGateway, "There is no DNS address for nowhere.example."},
		{&http1.DialError{Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}}, http.StatusBadGateway, "permission denied"},
		{&http1.DialError{Err: &http1.HandshakeError{Err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}}, http.StatusBadGateway, "hostless alias --force app http://localhost:3000"},
		{&http1.DialError{Err: &http1.HandshakeError{Err: os.ErrDeadlineExceeded}}, http.StatusGatewayTimeout, codeHandshake},
		{io.ErrUnexpectedEOF, http.StatusBadGateway, codeClosed},
	} {
		w := httptest.NewRecorder()
		p.unreachable(&serving{}, w, httptest.NewRequest(http.MethodGet, "/", nil), rt, "app.localhost", tt.err)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) {
			t.Errorf("%v: %d %s; want %d %s", tt.err, w.Code, w.Body, tt.status, tt.code)
		}
	}
}

// TestAppDiesWhileTheClientPauses: the client gets an error at once, not when it
// continues to send.
func TestAppDiesWhileTheClientPauses(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		if e.std {
			return // net/http waits for more of the body
		}
		for _, answer := range []string{"", "garbage"} {
			for _, head := range []string{"Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
				e.script(answer)
				_, r := e.raw("POST / HTTP/1.1\r\nHost: app.localhost\r\n" + head)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("%q, %.5s: %v", answer, head, err)
				}
				if resp.StatusCode != http.StatusBadGateway || !resp.Close {
					t.Errorf("%q, %.5s: %d", answer, head, resp.StatusCode)
				}
			}
		}
	})
}
