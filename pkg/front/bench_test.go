package front

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hostless/hostless/pkg/peer"
)

// BenchmarkGate is what the gate adds to a request on a connection that has been
// judged already.
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

// BenchmarkRequest is a whole request over loopback, kept alive: net/http alone,
// behind the gate, and behind the gate with a connection for each.
func BenchmarkRequest(b *testing.B) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) })
	s, err := New(Config{Gateway: hello, Apps: hello, Peer: peer.TCPOwner})
	if err != nil {
		b.Fatal(err)
	}
	get := func(b *testing.B, srv *httptest.Server, keep bool) {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}}
		for b.Loop() {
			resp, err := c.Get(srv.URL)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Read(make([]byte, 8))
			resp.Body.Close()
		}
	}
	gated := httptest.NewUnstartedServer(s)
	gated.Config.ConnContext = s.http.ConnContext
	gated.Listener = &listener{Listener: gated.Listener, server: s}
	gated.Start()
	defer gated.Close()
	bare := httptest.NewServer(hello)
	defer bare.Close()
	b.Run("bare", func(b *testing.B) { get(b, bare, true) })
	b.Run("gate", func(b *testing.B) { get(b, gated, true) })
	b.Run("bare,new connection", func(b *testing.B) { get(b, bare, false) })
	b.Run("gate,new connection", func(b *testing.B) { get(b, gated, false) })
}
