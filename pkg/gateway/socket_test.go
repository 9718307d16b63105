package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// wsUpstream creates a provider whose WebSocket is served by f.
func (w *world) wsUpstream(name string, f func(r *http.Request, c *websocket.Conn)) {
	w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
		up := websocket.Upgrader{Subprotocols: []string{"realtime"}}
		c, err := up.Upgrade(rw, r, http.Header{"X-Request-Id": {"ws_1"}})
		if err != nil {
			w.t.Errorf("upstream upgrade: %v", err)
			return
		}
		defer c.Close()
		f(r, c)
	})
}

func (w *world) dial(path string, headers ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{"Authorization": {"Bearer " + w.token}}
	d := websocket.Dialer{}
	for i := 0; i+1 < len(headers); i += 2 {
		switch {
		case headers[i] == "protocols":
			d.Subprotocols = strings.Split(headers[i+1], ",")
		case headers[i+1] == "":
			h.Del(headers[i])
		default:
			h.Set(headers[i], headers[i+1])
		}
	}
	c, resp, err := d.Dial("ws"+strings.TrimPrefix(w.server.URL, "http")+path, h)
	if c != nil {
		w.t.Cleanup(func() { c.Close() })
	}
	return c, resp, err
}

func send(t testing.TB, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c *websocket.Conn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, data, err := c.ReadMessage()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(data)
}

func TestResponsesSocket(t *testing.T) {
	for _, path := range []string{"/v1/responses?model=openai/gpt-4o-mini&x=1", "/v1/responses?x=1"} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t)
			w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
				if r.Header.Get("Authorization") != "Bearer "+canary || r.URL.Path != "/v1/responses" || strings.Contains(r.URL.RawQuery, "openai%2F") || !strings.Contains(r.URL.RawQuery, "x=1") || r.Header.Get("Openai-Beta") != "responses_websockets=2026-02-06" {
					t.Errorf("upstream was asked %s with %v", r.URL, r.Header)
				}
				for {
					_, data, err := c.ReadMessage()
					if err != nil {
						return
					}
					send(t, c, `{"type":"saw","frame":`+string(data)+`,"key":"`+canary+`"}`)
					send(t, c, `{"type":"response.completed","response":{"id":"resp_1","usage":{"input_tokens":2,"output_tokens":1}}}`)
				}
			})
			c, _, err := w.dial(path, "OpenAI-Beta", "responses_websockets=2026-02-06")
			if err != nil {
				t.Fatal(err)
			}
			send(t, c, `{"type":"response.create", "model":"openai/gpt-4o-mini","store":false}`)
			if got, want := receive(t, c), `{"type":"saw","frame":{"type":"response.create", "model":"gpt-4o-mini","store":false},"key":"[redacted]"}`; got != want {
				t.Errorf("got %s", got)
			}
			if got := receive(t, c); !strings.Contains(got, "resp_1") {
				t.Errorf("got %s", got)
			}
			send(t, c, `{"type":"response.create","model":"anthropic/claude-x"}`)
			if got := receive(t, c); !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, "open another one") {
				t.Errorf("another provider's model: %s", got)
			}
			if u := w.gw.Usage()[0]; u.InputTokens != 2 || u.OutputTokens != 1 || u.Model != "gpt-4o-mini" {
				t.Errorf("usage %+v", u)
			}
		})
	}
}

func TestSocketScope(t *testing.T) {
	w := newWorld(t)
	saw := make(chan string, 10)
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			saw <- string(data)
		}
	})
	limited := "Bearer " + w.mint(token.Request{RateLimit: 1, Scope: token.Scope{Models: []string{"gpt-4o-mini", "gpt-realtime"}}})
	for _, path := range []string{"/v1/responses?model=gpt-4o", "/v1/realtime?model=gpt-4o", "/v1/responses?model=gpt-4o-mini&model=gpt-4o", "/v1/realtime"} {
		if _, resp, err := w.dial(path, "Authorization", limited); err == nil || resp.StatusCode/100 != 4 {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
	c, _, err := w.dial("/v1/responses", "Authorization", limited)
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{
		`{"type":"response.create","model":"gpt-4o","event_id":"e1"}`, `{"type":"response.create"}`, `nonsense`,
	}
	for _, f := range bad {
		send(t, c, f)
		if got := receive(t, c); !strings.Contains(got, `"type":"error"`) {
			t.Errorf("%s: %s", f, got)
		}
	}
	send(t, c, `{"type":"response.create","model":"gpt-4o-mini"}`)
	<-saw
	for _, f := range append(bad[:1:1], `{"type":"response.create","model":"gpt-4o-mini","Model":"gpt-4o"}`, `nonsense`,
		`{"type":"response.create","model":"gpt-4o-mini","tools":[{"type":"image_generation","model":"gpt-image-1"}]}`, `{"type":"session.update","session":{"model":"gpt-4o"}}`,
		`{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"whisper-1"}}}}}`, `{"type":"response.create","model":"gpt-4o-mini"}`) {
		send(t, c, f)
		if got := receive(t, c); !strings.Contains(got, `"type":"error"`) {
			t.Errorf("%s: %s", f, got)
		}
	}
	send(t, c, `{"type":"session.update","session":{"model":"openai/gpt-realtime"}}`)
	if got := <-saw; got != `{"type":"session.update","session":{"model":"gpt-realtime"}}` {
		t.Errorf("upstream saw %s", got)
	}
	if len(saw) != 0 {
		t.Errorf("a refused message was sent upstream: %s", <-saw)
	}
}

func TestOfferedSubprotocolIsChosen(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		up := websocket.Upgrader{}
		c, err := up.Upgrade(rw, r, http.Header{"Sec-Websocket-Protocol": {"realtime"}}) // requested or not
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.ReadMessage()
	})
	key := "openai-insecure-api-key." + w.token
	for offers, want := range map[string]string{key: key, "other," + key: "other", "realtime," + key: "realtime", key + ",realtime": "realtime"} {
		c, resp, err := w.dial("/v1/realtime?model=gpt-realtime", "Authorization", "", "protocols", offers)
		if err != nil {
			t.Fatalf("%v %v", resp, err)
		}
		if c.Subprotocol() != want {
			t.Errorf("%s: chosen %q", offers, c.Subprotocol())
		}
		c.Close()
	}
}

func TestRealtimePassesControlFramesAndSubprotocols(t *testing.T) {
	w := newWorld(t)
	closed := make(chan error, 1)
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		if p := r.Header.Get("Sec-WebSocket-Protocol"); p != "realtime, openai-beta.realtime-v1" {
			t.Errorf("subprotocols %q", p)
		}
		if r.Header.Get("OpenAI-Beta") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Origin") != "" {
			t.Errorf("headers %v", r.Header)
		}
		c.SetPingHandler(func(data string) error {
			return c.WriteControl(websocket.PongMessage, []byte("pong of "+data), time.Now().Add(time.Second))
		})
		for {
			kind, data, err := c.ReadMessage()
			if err != nil {
				closed <- err
				return
			}
			c.WriteMessage(kind, data)
		}
	})
	c, resp, err := w.dial("/v1/realtime?model=gpt-realtime", "Authorization", "", "Origin", "http://localhost:5173", "Cookie", "a=b",
		"protocols", "realtime,openai-insecure-api-key."+w.token+",openai-beta.realtime-v1")
	if err != nil {
		t.Fatalf("%v %v", resp, err)
	}
	if c.Subprotocol() != "realtime" || resp.Header.Get("X-Request-Id") != "ws_1" || resp.Header.Get("X-Hostless-Provider") != "openai" {
		t.Errorf("subprotocol %q, header %v", c.Subprotocol(), resp.Header)
	}
	pong := make(chan string, 1)
	c.SetPongHandler(func(data string) error { pong <- data; return nil })
	c.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(time.Second))
	big := bytes.Repeat([]byte{0, 1, 2}, 500000)
	writer, _ := c.NextWriter(websocket.BinaryMessage)
	for _, part := range [][]byte{big[:10], big[10:70000], big[70000:]} {
		writer.Write(part)
	}
	writer.Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	kind, data, err := c.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage || !bytes.Equal(data, big) {
		t.Fatalf("binary came back as %d with %d bytes, %v", kind, len(data), err)
	}
	if got := <-pong; got != "pong of p" {
		t.Errorf("pong %q", got)
	}
	c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bye"), time.Now().Add(time.Second))
	var e *websocket.CloseError
	if err := <-closed; !errors.As(err, &e) || e.Code != 4001 || e.Text != "bye" {
		t.Errorf("upstream closed with %v", err)
	}
	if _, _, err := c.ReadMessage(); !errors.As(err, &e) || e.Code != 4001 {
		t.Errorf("the caller's close was answered with %v", err)
	}
}

func TestRefusedUpgradeComesBack(t *testing.T) {
	w := newWorld(t)
	long := `{"error":{"message":"` + strings.Repeat("no ", 2000) + canary + `","type":"x"}}`
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Request-Id", "r")
		rw.WriteHeader(429)
		io.WriteString(rw, long)
	})
	a := w.do("GET", "/v1/realtime?model=gpt-realtime", "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if a.status != 429 || a.body != strings.Replace(long, canary, "[redacted]", 1) || a.header.Get("X-Request-Id") != "r" || a.header.Get("X-Hostless-Error") != "upstream" {
		t.Errorf("got %d %v, %d bytes", a.status, a.header, len(a.body))
	}
	c, _, err := w.dial("/v1/responses")
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, `{"type":"response.create","model":"gpt-4o"}`)
	if got := receive(t, c); !strings.Contains(got, `"status":429`) || !strings.Contains(got, "no no") || strings.Contains(got, canary) {
		t.Errorf("got %.100s", got)
	}
	w.do("GET", "/v1/responses", "").want(t, 405, "WebSocket")
	w.do("GET", "/v1/realtime?model=x", "", "Authorization", "", "Connection", "Upgrade", "Upgrade", "websocket").want(t, 401, "Invalid")
}

func TestRevocationAndDeathCloseSockets(t *testing.T) {
	w := newWorld(t)
	ended := make(chan struct{}, 1)
	die := make(chan struct{})
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		go func() { <-die; c.NetConn().Close() }()
		c.ReadMessage()
		ended <- struct{}{}
	})
	bearer := w.mint(token.Request{})
	c, _, err := w.dial("/v1/realtime?model=m", "Authorization", "Bearer "+bearer)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.tokens.Revoke(context.Background(), secret.New(bearer)); err != nil {
		t.Fatal(err)
	}
	var e *websocket.CloseError
	if _, _, err := c.ReadMessage(); !errors.As(err, &e) || e.Code != websocket.ClosePolicyViolation {
		t.Errorf("closed with %v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the upstream's socket was not closed")
	}
	c, _, err = w.dial("/v1/realtime?model=m")
	if err != nil {
		t.Fatal(err)
	}
	close(die)
	if got := receive(t, c); !strings.Contains(got, "upstream_error") {
		t.Errorf("got %s", got)
	}
	if _, _, err := c.ReadMessage(); !errors.As(err, &e) || e.Code != websocket.CloseInternalServerErr {
		t.Errorf("closed with %v", err)
	}
	<-ended
	c, _, err = w.dial("/v1/realtime?model=m")
	if err != nil {
		t.Fatal(err)
	}
	c.NetConn().Close() // disconnects without a close frame
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the upstream's socket was not closed")
	}
}

func TestBridgedSocket(t *testing.T) {
	w := newWorld(t)
	w.upstream("mistral", chatOnly(t))
	w.upstream("mine", chatOnly(t)) // refuses the upgrade with 404
	for _, path := range []string{"/v1/responses?model=mistral/m", "/v1/responses", "/v1/responses?model=mine/m"} {
		model := `"model":"mistral/m",`
		if strings.Contains(path, "mine") {
			model = ""
		}
		c, resp, err := w.dial(path)
		if err != nil {
			t.Fatalf("%s: %v %v", path, resp, err)
		}
		run := func(frame string) (id string) {
			send(t, c, frame)
			for {
				got := receive(t, c)
				var ev struct {
					Type     string
					Response struct{ ID string }
				}
				if err := json.Unmarshal([]byte(got), &ev); err != nil || ev.Type == "error" {
					t.Fatalf("%s: %s: %s", path, frame, got)
				}
				if ev.Type == "response.completed" {
					return ev.Response.ID
				}
			}
		}
		id := run(`{"type":"response.create",` + model + `"store":false,"input":"one"}`)
		id = run(fmt.Sprintf(`{"type":"response.create",%s"store":false,"input":"two","previous_response_id":%q}`, model, id))
		if id == "" {
			t.Error("no id")
		}
		send(t, c, `{"type":"response.create",`+model+`"input":"fail","event_id":"e"}`)
		for got := receive(t, c); ; got = receive(t, c) {
			if strings.Contains(got, `"status":529`) && strings.Contains(got, "overloaded") {
				break
			}
		}
		send(t, c, `{"type":"response.create","model":"cohere/m"}`)
		if got := receive(t, c); !strings.Contains(got, "configuration_error") {
			t.Errorf("got %s", got)
		}
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		var e *websocket.CloseError
		if _, _, err := c.ReadMessage(); !errors.As(err, &e) || e.Code != 1000 {
			t.Errorf("closed with %v", err)
		}
	}
}

func TestBridgedSocketEndsTheUpstream(t *testing.T) {
	w := newWorld(t)
	disconnected := make(chan struct{})
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		events(rw)(`data: {"id":"c","choices":[{"index":0,"delta":{"content":"po"}}]}` + "\n\n")
		<-r.Context().Done()
		close(disconnected)
	})
	c, _, err := w.dial("/v1/responses?model=mistral/m")
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, `{"type":"response.create","input":"x"}`)
	receive(t, c)
	c.Close()
	select {
	case <-disconnected:
	case <-time.After(10 * time.Second):
		t.Fatal("the upstream request was not cancelled")
	}
}

// TestBridgedSocketGoesOn checks that a warm-up does not call the model, and that its
// input, or a response that is not stored, precedes the input of the next request. It also
// covers a provider that has the Responses API over HTTP only.
func TestBridgedSocketGoesOn(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var bodies []string
	w.upstream("groq", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies = append(bodies, string(body))
		n := len(bodies)
		mu.Unlock()
		events(rw)(fmt.Sprintf("event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r%d\",\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\",\"id\":\"x\"},{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"a%d\"}]}}\n\n", n, n))
	})
	chatBodies := 0
	chat := chatOnly(t)
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		chatBodies++
		mu.Unlock()
		chat(rw, r)
	})
	run := func(c *websocket.Conn, frame string) (id, end string) {
		send(t, c, frame)
		for {
			got := receive(t, c)
			var ev struct {
				Type     string
				Response struct{ ID string }
			}
			if err := json.Unmarshal([]byte(got), &ev); err != nil {
				t.Fatal(err)
			}
			if ev.Type == "response.completed" || ev.Type == "error" {
				return ev.Response.ID, got
			}
		}
	}
	create := func(rest string) string { return `{"type":"response.create","store":false,` + rest + `}` }

	c, _, err := w.dial("/v1/responses?model=groq/m")
	if err != nil {
		t.Fatal(err)
	}
	id, _ := run(c, create(`"generate":false,"instructions":"be brief","input":[{"role":"developer","content":"d"}]`))
	if len(bodies) != 0 || id == "" {
		t.Fatalf("a warm-up gave %q and asked the model: %v", id, bodies)
	}
	id, _ = run(c, create(`"input":"one","previous_response_id":"`+id+`"`))
	run(c, create(`"input":"two","previous_response_id":"`+id+`"`))
	run(c, create(`"input":"three","previous_response_id":"elsewhere"`))
	_, refused := run(c, create(`"generate":false,"input":"four","previous_response_id":"elsewhere"`))
	if !strings.Contains(refused, "previous_response_not_found") {
		t.Errorf("got %s", refused)
	}
	first := `{"role":"developer","content":"d"},{"content":"one","role":"user","type":"message"}`
	for i, want := range []string{
		`"input":[` + first + `]`,
		`"input":[` + first + `,{"type":"message","role":"assistant","content":"a1"},{"content":"two","role":"user","type":"message"}]`,
		`"previous_response_id":"elsewhere"`,
	} {
		if !strings.Contains(bodies[i], want) || i < 2 && strings.Contains(bodies[i], "previous_response_id") || strings.Contains(bodies[i], "generate") {
			t.Errorf("request %d was sent as %s, want %s", i, bodies[i], want)
		}
	}

	c, _, err = w.dial("/v1/responses?model=mistral/m")
	if err != nil {
		t.Fatal(err)
	}
	id, _ = run(c, create(`"generate":false,"input":"fail"`))
	if chatBodies != 0 {
		t.Error("a warm-up asked the model")
	}
	id, end := run(c, create(`"input":"one","previous_response_id":"`+id+`"`))
	if !strings.Contains(end, "pong") {
		t.Errorf("got %s", end)
	}
	if _, end = run(c, create(`"input":"two","previous_response_id":"`+id+`"`)); !strings.Contains(end, "pong") {
		t.Errorf("got %s", end)
	}
}

func TestCustomProvidersRefusal(t *testing.T) {
	w := newWorld(t)
	status := 401
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			http.Error(rw, "not you", status)
			return
		}
		chatOnly(t)(rw, r)
	})
	if _, resp, err := w.dial("/v1/responses?model=mine/m"); err == nil || resp.StatusCode != 401 {
		t.Errorf("a refusal was not forwarded: %v %v", resp, err)
	}
	status = 405
	c, resp, err := w.dial("/v1/responses?model=mine/m")
	if err != nil {
		t.Fatalf("%v %v", resp, err)
	}
	send(t, c, `{"type":"response.create","input":"x"}`)
	if got := receive(t, c); !strings.Contains(got, "response.created") {
		t.Errorf("got %s", got)
	}
}

// TestSocketControlFramesHideTheKey checks the reason of a close frame and the payload of a
// ping.
func TestSocketControlFramesHideTheKey(t *testing.T) {
	w := newWorld(t)
	w.wsUpstream("openai", func(r *http.Request, c *websocket.Conn) {
		soon := time.Now().Add(5 * time.Second)
		c.WriteControl(websocket.PingMessage, []byte("ping "+canary), soon)
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bad key "+canary), soon)
		c.ReadMessage()
	})
	c, _, err := w.dial("/v1/realtime?model=gpt-4o-realtime-preview")
	if err != nil {
		t.Fatal(err)
	}
	ping := ""
	c.SetPingHandler(func(data string) error { ping = data; return nil })
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var closed *websocket.CloseError
	if _, _, err = c.ReadMessage(); !errors.As(err, &closed) {
		t.Fatal(err)
	}
	if closed.Code != 4001 || !strings.HasPrefix(closed.Text, "bad key [redacted]") || strings.Contains(closed.Text+ping, canary) || !strings.HasPrefix(ping, "ping ") {
		t.Errorf("close %d %q, ping %q", closed.Code, closed.Text, ping)
	}
}
