package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"testing"
)

// TestChunksArriveWhereverTheyAreCut: the data of a chunk is forwarded even if its
// framing, or the next chunk's, has only partly arrived.
func TestChunksArriveWhereverTheyAreCut(t *testing.T) {
	const answer = "5;ext=1\r\nhello\r\n5\r\nworld\r\n0\r\nX-End: yes\r\n\r\n"
	cuts := map[string]int{
		"hello": len("5;ext=1\r\nhello"), "hello and half a line's end": len("5;ext=1\r\nhello\r"),
		"hello and its line's end": len("5;ext=1\r\nhello\r\n"), "hello and the next size": len("5;ext=1\r\nhello\r\n5"),
		"hello and half a next line": len("5;ext=1\r\nhello\r\n5\r"), "hello and a next line": len("5;ext=1\r\nhello\r\n5\r\n"),
	}
	bothTransports(t, func(t *testing.T, e *env) {
		for name, cut := range cuts {
			if e.std && name == "hello and a next line" {
				continue // net/http waits for the next chunk's data there
			}
			t.Run(name, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				more := make(chan struct{})
				go func() {
					c, err := l.Accept()
					if err != nil {
						return
					}
					defer c.Close()
					if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+answer[:cut])
					<-more
					io.WriteString(c, answer[cut:])
				}()
				e.register(l.Addr().String())
				_, r := e.raw("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
				for { // the response head
					if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
						break
					}
				}
				body := httputil.NewChunkedReader(r)
				first := make([]byte, 5)
				if _, err := io.ReadFull(body, first); err != nil || string(first) != "hello" {
					t.Errorf("the first chunk: %q, %v", first, err)
				}
				close(more)
				if rest, err := io.ReadAll(body); err != nil || string(rest) != "world" {
					t.Errorf("the rest: %q, %v", rest, err)
				}
			})
		}
	})
}

// TestChunksOfAWrongSize: if a chunk's size is wrong, data must not be treated as
// framing, nor framing as data.
func TestChunksOfAWrongSize(t *testing.T) {
	bothTransports(t, func(t *testing.T, e *env) {
		for _, body := range []string{"6\r\nhello\r\n0\r\n\r\n", "4\r\nhello\r\n0\r\n\r\n", "7\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n"} {
			e.script("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
			resp, err := e.client().Get("http://app.localhost/")
			if err != nil {
				continue
			}
			if got, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%q: a complete response %q", body, got)
			}
			resp.Body.Close()
		}
	})
}
