package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/sock"
)

// TestNothingInFlightIsIdle has a request body and a response that take longer than a
// connection may be idle, on both servers. Neither is cut, a disconnect is still detected,
// and the connection is kept.
func TestNothingInFlightIsIdle(t *testing.T) {
	const idle = 100 * time.Millisecond
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			ended <- r.Context().Err()
			return
		}
		body, err := io.ReadAll(r.Body)
		time.Sleep(2 * idle)
		fmt.Fprintf(w, "%q %v", body, err)
	})
	s := start(t, Config{Apps: h, Gateway: h, Idle: idle})
	for name, host := range map[string]string{"lane": "a.localhost", "net/http": "localhost"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, r := dial(t, s.addr)
			for range 2 {
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\n\r\n", host)
				for _, piece := range []string{"a", "b", "c"} {
					time.Sleep(idle)
					io.WriteString(c, piece)
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(resp.Body); string(text) != `"abc" <nil>` || err != nil {
					t.Fatalf("got %s, %v", text, err)
				}
			}
		})
	}
	t.Run("leaving", func(t *testing.T) {
		c, _ := dialed(t, s.addr, "GET /wait HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
		time.Sleep(2 * idle)
		c.Close()
		if err := within(t, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("ended by %v", err)
		}
	})
}

// TestDrainWaitsForUploads shuts the server down while a request body arrives.
func TestDrainWaitsForUploads(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, Config{CloseDelay: time.Millisecond, Apps: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v", body, err)
	})})
	c, r := dialed(t, s.addr, "POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 6\r\n\r\nabc")
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for !s.retiring.Load() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	io.WriteString(c, "def")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); string(text) != `"abcdef" <nil>` || err != nil || !resp.Close {
		t.Errorf("got %s, %v, close %v", text, err, resp.Close)
	}
	if err := within(t, stopped); err != nil {
		t.Error(err)
	}
}

// TestDrainOutlastsHalfAHead shuts the server down when two heads as large as a lane's
// buffer have arrived in part. The one that continues gets a response; the other must not
// delay the shutdown.
func TestDrainOutlastsHalfAHead(t *testing.T) {
	s := start(t, Config{CloseDelay: time.Millisecond})
	head := "GET / HTTP/1.1\r\nHost: a.localhost\r\nX: " + strings.Repeat("x", 2*sock.BufferSize) + "\r\n\r\n"
	c, r := dialed(t, s.addr, head[:sock.BufferSize])
	_, stalled := dialed(t, s.addr, head[:sock.BufferSize])
	reading := func() (n int) {
		for _, c := range s.members(s.lanes) {
			if c.lane.Load() == laneReading {
				n++
			}
		}
		return n
	}
	for reading() != 2 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for !s.retiring.Load() {
		time.Sleep(time.Millisecond)
	}
	io.WriteString(c, head[sock.BufferSize:])
	if resp, err := http.ReadResponse(r, nil); err != nil || !resp.Close {
		t.Errorf("got %v, %v", resp, err)
	}
	if rest, err := io.ReadAll(stalled); !bytes.Equal(rest, nil) || err != nil {
		t.Errorf("the other got %q, %v", rest, err)
	}
	if err := within(t, stopped); err != nil {
		t.Error(err)
	}
}
