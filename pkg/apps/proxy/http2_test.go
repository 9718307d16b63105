//lint:file-ignore SA1019 http.Transport refuses to send :protocol, and so cannot ask for extended CONNECT

package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestSocketsOnHTTP2 runs in its own process, because net/http reads the setting for
// extended CONNECT at startup.
func TestSocketsOnHTTP2(t *testing.T) {
	const on = "http2xconnect=1"
	if !strings.Contains(os.Getenv("GODEBUG"), on) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSocketsOnHTTP2$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG="+on)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	p := openPlane(t, options{Config: Config{URL: func(h string) string { return "https://" + h }}})
	defer p.Close()
	srv := httptest.NewUnstartedServer(p)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	e := &env{t: t, plane: p, addr: srv.Listener.Addr().String()}
	asked := make(chan *http.Request, 1)
	e.socketApp(func(c net.Conn, r *bufio.Reader, req *http.Request) {
		asked <- req
		if req.URL.Path == "/no" {
			io.WriteString(c, "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nnope")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: a\r\n\r\nhello;")
		io.Copy(c, r)
		io.WriteString(c, ";end")
	})
	tr := &http2.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	open := func(path string) (*http.Response, *io.PipeWriter) {
		r, w := io.Pipe()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+e.addr+path, r)
		req.Host = "app.localhost"
		req.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"a, b"}, "Origin": {"https://app.localhost"}}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp, w
	}
	resp, w := open("/ws?a;b")
	req := <-asked
	if resp.StatusCode != 200 || resp.Header.Get("Sec-Websocket-Protocol") != "a" || resp.Header.Get("Sec-Websocket-Accept") != "" || resp.Header.Get("Upgrade") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if req.Method != "GET" || req.RequestURI != "/ws?a;b" || req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Connection") != "Upgrade" ||
		len(req.Header.Get("Sec-Websocket-Key")) != 24 || req.Header.Get("Sec-Websocket-Version") != "13" || req.Host != "app.localhost" ||
		req.Header.Get("X-Forwarded-Proto") != "https" || req.Header.Get("Sec-Websocket-Protocol") != "a, b" {
		t.Errorf("app got %s %s %v", req.Method, req.RequestURI, req.Header)
	}
	fmt.Fprint(w, "there")
	w.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "hello;there;end" {
		t.Errorf("%q, %v", got, err)
	}
	resp, w = open("/no")
	<-asked
	got, err := io.ReadAll(resp.Body)
	w.Close()
	if resp.StatusCode != 403 || string(got) != "nope" || err != nil {
		t.Errorf("refused: %d %q, %v", resp.StatusCode, got, err)
	}
}
