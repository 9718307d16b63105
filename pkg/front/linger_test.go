package front

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// TestEarlyAnswersAreReceived checks that a client which sends its whole body before it
// reads gets a response that was sent early.
func TestEarlyAnswersAreReceived(t *testing.T) {
	answered := make(chan struct{}, 1)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		io.WriteString(w, "too much")
		rc.Flush()
		rc.SetReadDeadline(time.Unix(1, 0))
		answered <- struct{}{}
	})
	s := start(t, Config{Apps: app})
	chunk := make([]byte, 64<<10)
	for _, framing := range []string{"Content-Length: 4194304", "Transfer-Encoding: chunked"} {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a.localhost\r\n%s\r\n\r\n", framing)
		<-answered
		for range 64 {
			if framing[0] == 'T' {
				fmt.Fprintf(c, "%x\r\n%s\r\n", len(chunk), chunk)
			} else if _, err := c.Write(chunk); err != nil {
				t.Fatalf("%s: the client is cut while it sends: %v", framing, err)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", framing, err)
		}
		if text, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestEntityTooLarge || string(text) != "too much" || err != nil {
			t.Errorf("%s: %d %q %v", framing, resp.StatusCode, text, err)
		}
		if _, err := c.Read(chunk); err != io.EOF {
			t.Errorf("%s: after the response: %v, want the end of the connection", framing, err)
		}
	}
}

// TestCutAnswersOfHTTP10 checks that a client for which the end of the connection ends the
// body sees a reset if the response was cut off, and not a regular end.
func TestCutAnswersOfHTTP10(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := start(t, Config{Apps: app})
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: a.localhost\r\n\r\n")
	if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v; want a reset", got, err)
	}
}
