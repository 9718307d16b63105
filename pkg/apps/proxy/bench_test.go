package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/hostless/hostless/pkg/apps/routes"
)

// benchApp answers every request with the same bytes.
func benchApp(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nhello, world\n")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// benchHandler sends sequential requests over one connection.
func benchHandler(b *testing.B, h http.Handler) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	request := []byte("GET / HTTP/1.1\r\nHost: bench.localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		c.Write(request)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// BenchmarkRequest measures a small request through the apps plane, beside net/http's
// Transport and a plain ReverseProxy.
func BenchmarkRequest(b *testing.B) {
	for _, name := range []string{"direct", "std"} {
		b.Run(name, func(b *testing.B) {
			p := openPlane(b, options{Config: Config{URL: func(h string) string { return h }}, Std: name == "std"})
			defer p.Close()
			if _, err := p.Register(b.Context(), routes.Registration{Name: "bench", Target: benchApp(b)}); err != nil {
				b.Fatal(err)
			}
			benchHandler(b, p)
		})
	}
	b.Run("bare", func(b *testing.B) {
		u := &url.URL{Scheme: "http", Host: benchApp(b)}
		tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 512}
		defer tr.CloseIdleConnections()
		benchHandler(b, &httputil.ReverseProxy{Transport: tr, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() }})
	})
}
