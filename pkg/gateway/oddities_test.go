package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
)

func TestLastEventWithoutItsBlankLine(t *testing.T) {
	finish := `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}`
	usage := `data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}`
	w := newWorld(t)
	var sends string
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) { events(rw)(sends) })
	for _, tt := range []struct {
		name, sends, want string
		broken            bool
	}{
		{"done", finish + "\n\ndata: [DONE]", finish + "\n\ndata: [DONE]", false},
		{"finish", finish, finish, false},
		{"usage", finish + "\n\n" + usage, finish + "\n\n", false},
		{"usage with its newline", finish + "\n\n" + usage + "\n", finish + "\n\n", false},
		{"finish cut off", finish[:len(finish)-2], "", true},
	} {
		sends = tt.sends
		a := w.do("POST", "/v1/chat/completions", streamBody)
		got, _, broken := strings.Cut(a.body, `data: {"error":`)
		if got != tt.want || broken != tt.broken {
			t.Errorf("%s: got %q, broken %v", tt.name, a.body, broken)
		}
	}
}

func TestProtocolsAreNotSwitchedUnasked(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		conn, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	})
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 502, "upstream_error")
}

func TestLocalhostIsNeverLookedUp(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config) {
		c.Resolve = func(ctx context.Context, host string) ([]net.IPAddr, error) {
			t.Errorf("the name %s was resolved", host)
			return nil, errors.New("no")
		}
	})
	up := w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, `{"host":"`+r.Host+`"}`) })
	_, port, _ := net.SplitHostPort(up.Listener.Addr().String())
	for _, host := range []string{"localhost", "LocalHost", "localhost.", "api.localhost"} {
		w.keys.put("mine", "http://"+host+":"+port)
		w.do("POST", "/v1/chat/completions", `{"model":"mine/m"}`).want(t, 200, host)
	}
}
