//lint:file-ignore SA1019 http.Transport refuses to send :protocol, and so cannot ask for extended CONNECT

package front

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
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"
)

// TestSocketsOnHTTP2 opens a WebSocket to the gateway over HTTP/2. It runs in a process of
// its own, because net/http reads its switch for extended CONNECT at start.
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
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	up := websocket.Upgrader{Subprotocols: []string{"a"}, CheckOrigin: func(*http.Request) bool { return true }}
	s := start(t, Config{
		CloseDelay: time.Millisecond,
		TLS:        &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert.TLS.Certificates[0], nil }},
		Gateway: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				http.Error(w, "nope", http.StatusUnauthorized)
				return
			}
			c, err := up.Upgrade(w, r, http.Header{"X-Id": {"1"}})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			kind, data, err := c.ReadMessage()
			if err != nil {
				t.Error(err)
			}
			c.WriteMessage(kind, append(data, '!'))
		}),
	})
	tr := &http2.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	open := func(protocol, path string) (*http.Response, *io.PipeWriter) {
		r, w := io.Pipe()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodConnect, "https://"+s.addr+path, r)
		req.Host = "localhost"
		req.Header = http.Header{":protocol": {protocol}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"a"}}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp, w
	}
	resp, w := open("websocket", "/ws")
	if resp.StatusCode != 200 || resp.Header.Get("X-Id") != "1" || resp.Header.Get("Sec-Websocket-Protocol") != "a" || resp.Header.Get("Sec-Websocket-Accept") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	w.Write([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'}) // a masked text frame
	got := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "\x81\x03hi!" {
		t.Errorf("%q, %v", got, err)
	}
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	w.Close()
	for _, tt := range []struct {
		protocol, path string
		status         int
	}{{"websocket", "/no", 401}, {"other", "/ws", 405}} {
		resp, w := open(tt.protocol, tt.path)
		w.Close()
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.protocol, tt.path, resp.StatusCode, tt.status)
		}
	}
	// CONNECT without :protocol is refused in either version.
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n:protocol: websocket\r\n\r\n")
	plain, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || plain.StatusCode != 400 && plain.StatusCode != 405 {
		t.Errorf("%v, %v", plain, err)
	}
}
