package front

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hostless/hostless/pkg/peer"
)

// BenchmarkGate measures the gate alone, for a request on a connection whose peer has been
// checked already.
func BenchmarkGate(b *testing.B) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	s, err := New(Config{Gateway: nothing, Apps: nothing})
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name    string
		handler http.Handler
	}{{"bare", nothing}, {"gate", s}} {
		b.Run(bench.name, func(b *testing.B) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/v1/models", nil)
			b.ReportAllocs()
			for b.Loop() {
				r.Host = "myapp.localhost:48282"
				bench.handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkRequest measures a whole request over a kept-alive loopback connection: with
// net/http alone, behind the gate, and behind the gate with a new connection for each
// request.
func BenchmarkRequest(b *testing.B) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) })
	s, err := New(Config{Gateway: hello, Apps: hello, Peer: peer.TCPOwner})
	if err != nil {
		b.Fatal(err)
	}
	get := func(b *testing.B, url, host string, keep bool) {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}}
		for b.Loop() {
			r, _ := http.NewRequest("GET", url, nil)
			r.Host = host
			resp, err := c.Do(r)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Fatal(resp, err)
			}
			resp.Body.Read(make([]byte, 8))
			resp.Body.Close()
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx, l) }()
	defer func() { cancel(); <-ended }()
	gated := "http://" + l.Addr().String()
	bare := httptest.NewServer(hello)
	defer bare.Close()
	b.Run("bare", func(b *testing.B) { get(b, bare.URL, "localhost", true) })
	b.Run("gateway", func(b *testing.B) { get(b, gated, "localhost", true) })
	b.Run("app", func(b *testing.B) { get(b, gated, "app.localhost", true) })
	b.Run("bare,new connection", func(b *testing.B) { get(b, bare.URL, "localhost", false) })
	b.Run("gateway,new connection", func(b *testing.B) { get(b, gated, "localhost", false) })
}
