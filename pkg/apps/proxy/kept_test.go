package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hostless/hostless/pkg/apps/routes"
)

// TestWhatFollowsAnAnswerIsNoAnswer: data that an app sends after the end of a response
// is not used as the response to the next request.
func TestWhatFollowsAnAnswerIsNoAnswer(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	answers := map[string]string{
		"HEAD": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"GET":  "HTTP/1.1 204 No Content\r\n\r\n",
		"POST": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	}
	serve := func(t *testing.T, l net.Listener, sent chan struct{}) {
		t.Cleanup(func() { l.Close() })
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if req.URL.Path == "/next" {
						io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
						continue
					}
					io.WriteString(c, answers[req.Method])
					<-sent
					io.WriteString(c, evil)
					sent <- struct{}{}
				}
			}()
		}
	}
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	bothTransports(t, func(t *testing.T, e *env) {
		if e.std {
			return // net/http notices it in a goroutine, at an unknown time
		}
		for _, scheme := range []string{"http", "https"} {
			for method := range answers {
				t.Run(scheme+" "+method, func(t *testing.T) {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					target := scheme + "://" + l.Addr().String()
					if scheme == "https" {
						l = tls.NewListener(l, &tls.Config{Certificates: cert.TLS.Certificates})
					}
					sent := make(chan struct{})
					go serve(t, l, sent)
					if _, err := e.plane.Register(t.Context(), routes.Registration{Name: "app", Target: target, Insecure: true}); err != nil {
						t.Fatal(err)
					}
					req, _ := http.NewRequest(method, "http://app.localhost/", nil)
					resp, err := e.client().Do(req)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					sent <- struct{}{}
					<-sent
					if resp, text := e.get("/next"); resp.StatusCode != http.StatusOK || text != "true" {
						t.Errorf("the next request got %d %q", resp.StatusCode, text)
					}
				})
			}
		}
	})
}
