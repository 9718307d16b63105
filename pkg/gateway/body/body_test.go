package body_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
)

func request(data string, length int64, encoding string) *http.Request {
	r, _ := http.NewRequest("POST", "/", io.NopCloser(strings.NewReader(data)))
	r.ContentLength = length
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	return r
}

func TestRead(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, strings.Repeat("a", 100<<10))
	z.Close()
	for _, tt := range []struct {
		name   string
		r      *http.Request
		want   int
		refuse fault.Kind
	}{
		{"known", request("abc", 3, ""), 3, 0},
		{"known, short", request("abc", 4, ""), 0, fault.Invalid},
		{"known, too large", request("", 1<<20+1, ""), 0, fault.TooLarge},
		{"unknown", request(strings.Repeat("x", 50000), -1, ""), 50000, 0},
		{"unknown, empty", request("", -1, ""), 0, 0},
		{"unknown, the end of a piece", request(strings.Repeat("x", 16<<10), -1, ""), 16 << 10, 0},
		{"unknown, at the limit", request(strings.Repeat("x", 1<<20), -1, ""), 1 << 20, 0},
		{"unknown, too large", request(strings.Repeat("x", 1<<20+1), -1, ""), 0, fault.TooLarge},
		{"gzip", request(zipped.String(), int64(zipped.Len()), "gzip"), 100 << 10, 0},
		{"gzip, cut off", request(zipped.String()[:zipped.Len()-9], -1, "gzip"), 0, fault.Invalid},
		{"no gzip", request("abc", 3, "gzip"), 0, fault.Invalid},
		{"brotli", request("abc", 3, "br"), 0, fault.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			memory := body.NewMemory(4<<20, 0)
			lease := memory.Lease()
			data, err := body.Read(tt.r, 1<<20, &lease)
			if tt.refuse != 0 && !fault.Is(err, tt.refuse) || tt.refuse == 0 && (err != nil || len(data) != tt.want) {
				t.Errorf("%d bytes, %v; want %d, kind %v", len(data), err, tt.want, tt.refuse)
			}
			if used := memory.Used(); used < int64(len(data)) {
				t.Errorf("%d bytes are reserved for %d", used, len(data))
			}
			lease.Release()
			lease.Release()
			if used := memory.Used(); used != 0 {
				t.Errorf("%d bytes are still reserved", used)
			}
		})
	}
	r := request("", -1, "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if data, err := body.Read(r, 1<<20, &body.Lease{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("chunks that end early were read as %q, %v", data, err)
	}
}

// TestMemory checks that a body without room waits in order and is refused after a while,
// and that only small bodies overtake it.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mb = 1 << 20
		memory := body.NewMemory(100*mb, 2*time.Second)
		first := memory.Lease()
		if err := first.Grow(t.Context(), 80*mb); err != nil {
			t.Fatal(err)
		}
		order, proceed := make(chan string, 4), make(chan struct{})
		grow := func(name string, size int64) {
			go func() {
				lease := memory.Lease()
				if err := lease.Grow(t.Context(), size); err != nil {
					order <- name + " refused"
					if f := fault.From(err); f.Kind != fault.Busy || f.RetryAfter == 0 || f.Kind.Status() != 503 {
						t.Errorf("%+v", f)
					}
					return
				}
				order <- name
				<-proceed
				lease.Release()
			}()
			synctest.Wait()
		}
		grow("large", 90*mb)
		grow("second", 15*mb) // would fit, but is not the first in the queue
		grow("small", 1000)
		if got := <-order; got != "small" || len(order) > 0 {
			t.Fatalf("%s was admitted, and %d more", got, len(order))
		}
		first.Release()
		synctest.Wait()
		if got := <-order; got != "large" || len(order) > 0 {
			t.Fatalf("%s was admitted, and %d more", got, len(order))
		}
		proceed <- struct{}{}
		proceed <- struct{}{}
		synctest.Wait()
		if got := <-order; got != "second" {
			t.Fatalf("%s was admitted", got)
		}
		proceed <- struct{}{}
		synctest.Wait()
		if err := first.Grow(t.Context(), 100*mb); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		grow("late", 1)
		if got := <-order; got != "late refused" || time.Since(start) != 2*time.Second {
			t.Errorf("%s after %v", got, time.Since(start))
		}
		first.Release()
		whole := memory.Lease()
		if err := whole.Grow(t.Context(), 1000*mb); err != nil { // larger than the budget, but alone
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Grow(ctx, 1); err != context.Canceled {
			t.Errorf("after the context was cancelled: %v", err)
		}
		whole.Release()
		if memory.Used() != 0 {
			t.Errorf("%d bytes are still reserved", memory.Used())
		}
	})
}
