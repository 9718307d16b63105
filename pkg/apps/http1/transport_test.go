package http1_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/apps/http1"
)

// serve starts a server, with TLS if secure, and returns a transport that trusts it.
func serve(t testing.TB, secure bool, h http.HandlerFunc) (*http1.Transport, *httptest.Server) {
	srv := httptest.NewUnstartedServer(h)
	tr := &http1.Transport{Config: http1.Config{TLS: &tls.Config{}}}
	if secure {
		srv.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		tr.Config.TLS.RootCAs, tr.Config.TLS.ServerName = roots, "example.com"
	} else {
		srv.Start()
	}
	t.Cleanup(func() { tr.CloseIdleConnections(); srv.CloseClientConnections(); srv.Close() })
	return tr, srv
}

func bothSchemes(t *testing.T, test func(t *testing.T, secure bool)) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "https"}[secure], func(t *testing.T) { test(t, secure) })
	}
}

// TestTransportIsNetHTTPs sends the same requests through both transports: the server
// must see the same requests, and the caller the same responses.
func TestTransportIsNetHTTPs(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %d %v %d %q", r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding, len(data), r.Header))
		switch r.URL.Path {
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/chunked":
			io.WriteString(w, "one")
			http.NewResponseController(w).Flush()
			io.WriteString(w, "two")
		case "/trailer":
			w.Header().Set("Trailer", "X-End")
			io.WriteString(w, "body")
			w.Header().Set("X-End", "1")
		case "/missing":
			http.Error(w, "no", http.StatusNotFound)
		default:
			w.Write(bytes.Repeat([]byte("x"), 10_000))
		}
	}
	bothSchemes(t, func(t *testing.T, secure bool) {
		ours, srv := serve(t, secure, handler)
		theirs := &http.Transport{DisableCompression: true, TLSClientConfig: ours.Config.TLS}
		defer theirs.CloseIdleConnections()
		type seen struct {
			Status          int
			Text            string
			Length          int64
			Header, Trailer http.Header
			Body            string
		}
		for _, tt := range []struct{ method, path, body string }{
			{"GET", "/", ""}, {"GET", "/a%20b/%2F?q=1&r=a;b", ""}, {"HEAD", "/", ""}, {"HEAD", "/chunked", ""}, {"POST", "/", ""}, {"POST", "/", "small"},
			{"PUT", "/", strings.Repeat("y", 200_000)}, {"DELETE", "/empty", ""}, {"GET", "/chunked", ""}, {"GET", "/trailer", ""}, {"GET", "/missing", ""},
			{"POST", "/stream", "unknown"},
		} {
			var got [2]seen
			for i, tr := range []http.RoundTripper{ours, theirs} {
				var body io.Reader
				if tt.body != "" {
					body = strings.NewReader(tt.body)
				}
				if tt.path == "/stream" {
					body = io.MultiReader(body) // net/http cannot know its length
				}
				req, err := http.NewRequest(tt.method, srv.URL+tt.path, body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = http.Header{"X-Multi": {"1", "2"}, "User-Agent": {""}, "Connection": {"X-Hop"}, "Authorization": {"Bearer x"}}
				if i == 1 {
					delete(req.Header, "Connection") // net/http forwards it, a proxy must not
				}
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatalf("%v: %v", tt, err)
				}
				data, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatalf("%v: %v", tt, err)
				}
				resp.Body.Close()
				delete(resp.Header, "Date")
				got[i] = seen{resp.StatusCode, resp.Status, resp.ContentLength, resp.Header, resp.Trailer, string(data)}
			}
			if d := cmp.Diff(got[1], got[0]); d != "" {
				t.Errorf("%s %s: -net/http +ours\n%s", tt.method, tt.path, d)
			}
		}
	})
}

// TestTransportReadsChunksTogether: one Read returns all chunks that have arrived, and
// never waits for one that has not.
func TestTransportReadsChunksTogether(t *testing.T) {
	bothSchemes(t, func(t *testing.T, secure bool) {
		next := make(chan string)
		tr, srv := serve(t, secure, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for text := range next {
				io.WriteString(conn, text)
			}
		})
		go func() { next <- "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nth" }()
		defer close(next)
		req, err := http.NewRequest("GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		buf := make([]byte, 64)
		read := func(want string) {
			t.Helper()
			n, err := resp.Body.Read(buf)
			if got := string(buf[:n]); got != want || err != nil {
				t.Fatalf("read %q, %v; want %q", got, err, want)
			}
		}
		read("onetwoth")
		next <- "ree\r\n4\r\nfour\r\n6\r\n" // the size of a chunk that has not arrived
		read("reefour")
		next <- "finish\r\n0\r\n\r\n"
		read("finish")
		if n, err := resp.Body.Read(buf); n != 0 || err != io.EOF {
			t.Fatalf("at the end: %d bytes, %v", n, err)
		}
	})
}

// TestTransportKeepsConnections: sequential requests use one connection, which has no
// goroutine.
func TestTransportKeepsConnections(t *testing.T) {
	bothSchemes(t, func(t *testing.T, secure bool) {
		var conns atomic.Int32
		tr, srv := serve(t, secure, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		dial := net.Dialer{}
		tr.Config.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conns.Add(1)
			return dial.DialContext(ctx, network, address)
		}
		for range 20 {
			req, _ := http.NewRequest("POST", srv.URL, strings.NewReader("hello"))
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(resp.Body); string(data) != "hello" || err != nil {
				t.Fatalf("%q, %v", data, err)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%d connections for sequential requests", n)
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, own := range []string{"http1.(*Transport)", "http1.(*directTransport)", "http1.(*Conn)", "http1.(*directBody)"} {
			if bytes.Contains(stacks, []byte(own)) {
				t.Errorf("a goroutine of %s runs between requests", own)
			}
		}
	})
}

// TestTransportEnds: canceling the request or closing the body unblocks a Read and closes
// the connection.
func TestTransportEnds(t *testing.T) {
	bothSchemes(t, func(t *testing.T, secure bool) {
		left, arrived := make(chan struct{}, 10), make(chan struct{}, 10)
		tr, srv := serve(t, secure, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/silent" {
				arrived <- struct{}{}
			} else {
				io.WriteString(w, "first")
				http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
			left <- struct{}{}
		})
		cause := errors.New("the cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 5))
		time.AfterFunc(time.Millisecond, func() { cancel(cause) })
		if _, err := resp.Body.Read(make([]byte, 5)); !errors.Is(err, cause) {
			t.Errorf("cancelled while it read: %v", err)
		}
		resp.Body.Close()
		<-left

		req, _ = http.NewRequest("GET", srv.URL, nil)
		if resp, err = tr.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 5))
		time.AfterFunc(time.Millisecond, func() { resp.Body.Close() })
		if n, err := resp.Body.Read(make([]byte, 5)); n != 0 || err == nil {
			t.Errorf("closed while it read: %d, %v", n, err)
		}
		<-left

		ctx, cancel = context.WithCancelCause(t.Context())
		go func() { <-arrived; cancel(cause) }()
		req, _ = http.NewRequestWithContext(ctx, "GET", srv.URL+"/silent", nil)
		if _, err = tr.RoundTrip(req); !errors.Is(err, cause) {
			t.Errorf("cancelled before the response: %v", err)
		}
		<-left

		tr.Config.HeaderTimeout = 20 * time.Millisecond
		tr2 := &http1.Transport{Config: tr.Config}
		defer tr2.CloseIdleConnections()
		req, _ = http.NewRequest("GET", srv.URL+"/silent", nil)
		var ne net.Error
		if _, err = tr2.RoundTrip(req); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("no head in time: %v", err)
		}
		<-arrived
		<-left
	})
}

// TestTransportResends: a repeatable request that meets a closed idle connection is sent
// again, with its body.
func TestTransportResends(t *testing.T) {
	tr, srv := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		w.Write(data)
	})
	big := strings.Repeat("z", 100_000)
	for _, body := range []string{"small", big} {
		for range 3 {
			req, _ := http.NewRequest("POST", srv.URL, strings.NewReader(body))
			req.Header["X-Idempotency-Key"] = []string{}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(resp.Body); string(data) != body || err != nil {
				t.Fatalf("%d bytes, %v", len(data), err)
			}
			srv.CloseClientConnections()
		}
	}
}

func TestTransportRefuses(t *testing.T) {
	var asked atomic.Int32
	tr, srv := serve(t, false, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	change := func(f func(*http.Request)) *http.Request {
		req, _ := http.NewRequest("GET", srv.URL, nil)
		f(req)
		return req
	}
	for name, req := range map[string]*http.Request{
		"value":   change(func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer canary\r\nX-Evil: 1"} }),
		"name":    change(func(r *http.Request) { r.Header["X Evil"] = []string{"1"} }),
		"method":  change(func(r *http.Request) { r.Method = "GET /evil" }),
		"host":    change(func(r *http.Request) { r.Host = "a\r\nX-Evil: 1" }),
		"uri":     change(func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, Opaque: "/a b"} }),
		"upgrade": change(func(r *http.Request) { r.Header["Upgrade"] = []string{"websocket"} }),
	} {
		if _, err := tr.RoundTrip(req); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked.Load() != 0 {
		t.Error("an invalid request was sent")
	}
}

// TestTransportFallsBack: requests that need a proxy go to the fallback.
func TestTransportFallsBack(t *testing.T) {
	tr, srv := serve(t, false, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	proxy, _ := url.Parse(srv.URL)
	tr.Proxy = func(*http.Request) (*url.URL, error) { return proxy, nil }
	std := &http.Transport{Proxy: tr.Proxy}
	defer std.CloseIdleConnections()
	tr.Fallback = std
	req, _ := http.NewRequest("GET", "http://example.invalid/x", nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := io.ReadAll(resp.Body); string(data) != "http://example.invalid/x" {
		t.Errorf("%q", data)
	}
}

func TestTransportInforms(t *testing.T) {
	tr, srv := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "ok")
	})
	var codes []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if h.Get("Link") == "</a>" {
			codes = append(codes, code)
		}
		return nil
	}})
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(codes) != 1 || codes[0] != http.StatusEarlyHints {
		t.Errorf("informed of %v", codes)
	}
}

// BenchmarkTransport sends small POST requests through each transport.
func BenchmarkTransport(b *testing.B) {
	for _, secure := range []bool{false, true} {
		ours, srv := serve(b, secure, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header()["Date"] = nil
			w.Write([]byte("hello"))
		})
		theirs := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100, TLSClientConfig: ours.Config.TLS.Clone()}
		data := bytes.Repeat([]byte("x"), 1000)
		for name, tr := range map[string]http.RoundTripper{"ours": ours, "nethttp": theirs} {
			b.Run(fmt.Sprintf("%s/tls=%v", name, secure), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					req, _ := http.NewRequest("POST", srv.URL, bytes.NewReader(data))
					resp, err := tr.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		theirs.CloseIdleConnections()
	}
}
