package netguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// newTestFetcher returns a fetcher for which every name resolves to a stand-in on a
// public address.
func newTestFetcher(t *testing.T, limits Limits, h http.HandlerFunc) *Fetcher {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	dial := Dialer{
		Resolve: func(context.Context, string) ([]net.IPAddr, error) {
			return []net.IPAddr{{IP: net.IPv4(93, 184, 215, 14)}}, nil
		},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	f := NewFetcher(dial, &tls.Config{RootCAs: roots}, "test", limits)
	t.Cleanup(f.Close)
	return f
}

// TestFetchTotals: the downloads of a request are limited in number, bytes and time, per
// file and in total, whether or not the length of a file is announced.
func TestFetchTotals(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limits  Limits
		size    int
		chunked bool
		want    int // downloads that succeed
		message string
	}{
		{"number", Limits{Files: 3}, 10, false, 3, "more than 3 files"},
		{"bytes", Limits{Total: 4 << 20}, 1 << 20, false, 4, "more than 4 MiB of files"},
		{"bytes of unknown length", Limits{Total: 4 << 20}, 1 << 20, true, 4, "more than 4 MiB of files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked, sent atomic.Int64
			f := newTestFetcher(t, tt.limits, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				w.Header().Set("Content-Type", "image/png")
				if !tt.chunked {
					w.Header().Set("Content-Length", fmt.Sprint(tt.size))
				}
				for left := tt.size; left > 0; {
					n, err := w.Write(make([]byte, min(left, 64<<10)))
					if err != nil {
						return
					}
					left -= n
					sent.Add(int64(n))
				}
			})
			b := f.Budget()
			for i := range 200 {
				kind, data, err := b.Fetch(context.Background(), fmt.Sprintf("https://example.com/%d.png", i))
				if i < tt.want {
					if err != nil || kind != "image/png" || len(data) != tt.size {
						t.Fatalf("file %d: %s, %d bytes, %v", i, kind, len(data), err)
					}
					continue
				}
				if !fault.Is(err, fault.TooLarge) || !strings.Contains(err.Error(), tt.message) || !strings.Contains(err.Error(), "data: URLs") {
					t.Fatalf("file %d: %v", i, err)
				}
				break
			}
			if tt.limits.Files > 0 && asked.Load() != int64(tt.want) {
				t.Errorf("%d files were requested, want %d", asked.Load(), tt.want)
			}
			if _, _, err := f.Budget().Fetch(context.Background(), "https://example.com/x.png"); err != nil {
				t.Errorf("the next request has its own budget: %v", err)
			}
		})
	}
}

func TestFetchTotalTime(t *testing.T) {
	release := make(chan struct{})
	f := newTestFetcher(t, Limits{Time: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	b := f.Budget()
	_, _, err := b.Fetch(context.Background(), "https://example.com/slow")
	if !fault.Is(err, fault.TooLarge) || !strings.Contains(err.Error(), "to download") {
		t.Errorf("got %v, want the total time as its cause", err)
	}
	if _, _, err = b.Fetch(context.Background(), "https://example.com/next"); !fault.Is(err, fault.TooLarge) {
		t.Errorf("after the total time: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err = f.Budget().Fetch(ctx, "https://example.com/x"); !fault.Is(err, fault.Invalid) || !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled caller: %v", err)
	}
}

func TestFetchOneFile(t *testing.T) {
	f := newTestFetcher(t, Limits{File: 1 << 20}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/announced":
			w.Header().Set("Content-Length", fmt.Sprint(2<<20))
		case "/large":
			for range 40 {
				w.Write(make([]byte, 64<<10))
			}
		case "/hop":
			http.Redirect(w, r, "http://example.com/x", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/short":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "x")
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		default:
			if len(r.Header["Cookie"])+len(r.Header["Authorization"]) > 0 || r.UserAgent() != "test" {
				t.Errorf("header %v", r.Header)
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			io.WriteString(w, "\x89PNG\r\n\x1a\n")
		}
	})
	for path, message := range map[string]string{
		"/announced": "larger than 1 MiB", "/large": "larger than 1 MiB", "/hop": "cannot be downloaded", "/loop": "cannot be downloaded",
		"/short": "cannot be downloaded", "/missing": "status 404",
	} {
		if _, _, err := f.Budget().Fetch(context.Background(), "https://example.com"+path); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: got %v, want %q", path, err, message)
		}
	}
	if kind, _, err := f.Budget().Fetch(context.Background(), "https://example.com/ok"); err != nil || kind != "image/png" {
		t.Errorf("got %s, %v", kind, err)
	}
	for _, address := range []string{"http://example.com/x", "https://u:p@example.com/x", "https:///x", "ftp://x/", "https://127.0.0.1/x", "https://localhost/x", "https://10.0.0.1/x", "https://[fe80::1]/x"} {
		if _, _, err := f.Budget().Fetch(context.Background(), address); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
