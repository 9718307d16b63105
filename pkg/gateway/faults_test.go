package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// TestEndDuringAWholeAnswer checks a response of which nothing was sent when the daemon
// stops or the token is revoked: it becomes an error with that reason, not an empty 200
// with the provider's headers, and not a 502 that blames the provider.
func TestEndDuringAWholeAnswer(t *testing.T) {
	turns := `"messages":[{"role":"user","content":"x"}]`
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/embeddings"} {
		for _, how := range []string{"length", "chunked", "error"} {
			for _, cause := range []string{"stopping", "revoked", "disconnected"} {
				t.Run(strings.Join([]string{path[1:], how, cause}, " "), func(t *testing.T) {
					reading := make(chan struct{}) // closed when the gateway waits for the body
					w := newWorld(t, func(c *gateway.Config) {
						c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
							conn, err := new(net.Dialer).DialContext(ctx, network, address)
							return &secondRead{Conn: conn, begins: reading}, err
						}
					})
					w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
						io.Copy(io.Discard, r.Body)
						rw.Header().Set("Content-Type", "application/json")
						rw.Header().Set("X-Provider", "yes")
						switch how {
						case "length":
							rw.Header().Set("Content-Length", "1000")
						case "error":
							rw.WriteHeader(400)
						}
						io.WriteString(rw, `{"choices":`)
						rw.(http.Flusher).Flush()
						<-r.Context().Done()
					})
					bearer := w.mint(token.Request{})
					ctx, stop := context.WithCancelCause(t.Context())
					defer stop(nil)
					req := w.request("POST", path, `{"model":"mistral/m","max_tokens":9,`+turns+`}`, "Authorization", "Bearer "+bearer).WithContext(ctx)
					req.Host, req.RemoteAddr = "localhost", "127.0.0.1:1"
					got := httptest.NewRecorder()
					aborted := make(chan any, 1)
					go func() {
						defer func() { aborted <- recover() }()
						w.gw.ServeHTTP(got, req)
					}()
					<-reading
					status, text := http.StatusInternalServerError, "about to stop"
					switch cause {
					case "stopping":
						stop(&fault.Error{Kind: fault.Internal, Message: text})
					case "revoked":
						status, text = http.StatusUnauthorized, "revoked"
						if err := w.tokens.Revoke(t.Context(), secret.New(bearer)); err != nil {
							t.Fatal(err)
						}
					case "disconnected":
						stop(nil)
					}
					p := <-aborted
					if cause == "disconnected" || path == "/v1/embeddings" && p != nil && got.Body.Len() > 0 {
						if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) {
							t.Errorf("the connection was not aborted: %v, %d %s", p, got.Code, got.Body)
						}
						return
					}
					if p != nil && how == "chunked" && path != "/v1/messages" {
						return // forwarded piece by piece, and therefore truncated
					}
					if p != nil || got.Code != status || !strings.Contains(got.Body.String(), text) || got.Header().Get("X-Provider") != "" {
						t.Errorf("%v: %d %v %s; want %d with %q", p, got.Code, got.Header(), got.Body, status, text)
					}
				})
			}
		}
	}
}

// secondRead reports when it is read again after it has returned data.
type secondRead struct {
	net.Conn
	gave   bool
	begins chan struct{}
}

func (c *secondRead) Read(p []byte) (int, error) {
	if c.gave && c.begins != nil {
		close(c.begins)
		c.begins = nil
	}
	n, err := c.Conn.Read(p)
	c.gave = c.gave || n > 0
	return n, err
}

// TestLongEventIsRedacted checks that an event above holdLimit is forwarded in pieces
// without the key, wherever the pieces are split.
func TestLongEventIsRedacted(t *testing.T) {
	w := newWorld(t)
	const held = 8 << 20
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		send := events(rw)
		send(`data: {"x":"` + canary + strings.Repeat("a", held-len(canary)/2-len(`data: {"x":"`)-len(canary)) + canary + `","y":"` + canary + `"}` + "\n\ndata: [DONE]\n\n")
	})
	a := w.do("POST", "/v1/chat/completions", `{"model":"mistral/m","stream":true,"messages":[]}`)
	if n := strings.Count(a.body, secret.Redacted); n != 3 || !strings.Contains(a.body, "[DONE]") {
		t.Errorf("%d keys redacted of 3 in %d bytes", n, len(a.body))
	}
}

// TestCrossSite checks that requests of pages of another site without an Origin are refused
// on every endpoint, with any token.
func TestCrossSite(t *testing.T) {
	served := 0
	w := newWorld(t, func(c *gateway.Config) {
		c.Pages = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { served++ })
	})
	asked := 0
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) { asked++ })
	for _, site := range []string{"cross-site", "same-site", "anything"} {
		for _, ask := range [][2]string{
			{"GET", "/health"}, {"GET", "/api/tags"}, {"HEAD", "/"}, {"GET", "/api/version"}, {"GET", "/v1/models"}, {"GET", "/v1beta/models?key=" + w.token},
			{"POST", "/v1/chat/completions"}, {"POST", "/v1/messages"}, {"GET", "/callback?code=1"}, {"POST", "/auth/register"}, {"GET", "/nowhere"}, {"OPTIONS", "/v1/models"},
		} {
			if a := w.do(ask[0], ask[1], "", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors"); a.status != 403 {
				t.Errorf("%s %s with Sec-Fetch-Site %s: %d %s", ask[0], ask[1], site, a.status, a.body)
			}
		}
	}
	if served != 0 || asked != 0 {
		t.Errorf("the page was served %d times, the provider got %d requests", served, asked)
	}
	w.do("GET", "/callback?code=1", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe").want(t, 403, "")
	w.do("GET", "/callback?code=1", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document").want(t, 200, "")
	for _, site := range []string{"none", "same-origin", ""} {
		w.do("GET", "/api/version", "", "Sec-Fetch-Site", site).want(t, 200, "version")
	}
	w.do("GET", "/v1/models", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example").want(t, 200, "") // the Origin decides
}

// TestModelNameInAURL checks that a model name that would change the path or the query is
// refused.
func TestModelNameInAURL(t *testing.T) {
	w := newWorld(t)
	asked := ""
	up := func(rw http.ResponseWriter, r *http.Request) { asked = r.URL.String() }
	w.upstream("openai", up)
	w.upstream("google", up)
	chat := `{"model":"%s","messages":[{"role":"user","content":"x"}]}`
	for _, name := range []string{"google/../secret", "google/..", "gemini-x/../../files", "google/gemini?alt=sse", "google/gemini#f", `google/a\u0000b`, `google/a\nb`, `google/..\\x`, "../x", "openai/./x"} {
		w.do("POST", "/v1/chat/completions", strings.Replace(chat, "%s", name, 1)).want(t, 400, `"param":"model"`)
		w.do("POST", "/v1/responses", `{"input":"x","model":"`+name+`"}`).want(t, 400, `"param":"model"`)
	}
	for _, path := range []string{"/v1beta/models/gemini%3Falt=sse:generateContent", "/v1beta/models/gemini%23:generateContent", "/v1beta/models/a%0Ab:generateContent", "/v1/models/a%3Fb"} {
		method := "POST"
		if strings.HasPrefix(path, "/v1/") {
			method = "DELETE"
		}
		w.do(method, path, `{"contents":[]}`).want(t, 400, "model")
	}
	if asked != "" {
		t.Errorf("a provider was asked for %s", asked)
	}
	for _, name := range []string{"openai/a..b", "openai/v1.5", "openai/.hidden", "openai/a/...b"} {
		w.do("POST", "/v1/chat/completions", strings.Replace(chat, "%s", name, 1)).want(t, 200, "")
	}
}

// TestUnknownPrefix checks that a prompt for an unknown provider is not sent to any other
// one.
func TestUnknownPrefix(t *testing.T) {
	openai := listOf("org/listed")
	w := newWorld(t, func(c *gateway.Config) {
		c.Resolve = func(context.Context, string) ([]net.IPAddr, error) {
			return []net.IPAddr{{IP: net.IPv4(192, 0, 2, 1)}}, nil
		}
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, openai.Listener.Addr().String())
		}
		c.TLS = openai.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		c.TLS.InsecureSkipVerify = true
	})
	t.Cleanup(openai.Close)
	w.keys.mu.Lock()
	w.keys.creds["openai"] = gateway.Credential{Key: secret.New(canary)}
	w.keys.mu.Unlock()
	w.keys.putCred("mine", gateway.Credential{BaseURL: openai.URL + "/v1", Dialect: dialect.OpenAI})
	ask := func(model string) answer {
		return w.do("POST", "/v1/chat/completions", `{"model":"`+model+`","messages":[]}`)
	}
	for name, want := range map[string]string{
		"acme/m":      `no provider is named \"acme\"`,
		"antropic/m":  `did you mean anthropic?`,
		"mime/secret": `mine`,
		"opnai/gpt-4": `openai`,
	} {
		a := ask(name)
		a.want(t, 400, `"code":"unknown_provider"`)
		a.want(t, 400, want)
	}
	w.do("POST", "/v1beta/models/acme/m:generateContent", `{"contents":[]}`).want(t, 400, "acme")
	ask("org/listed").want(t, 200, "")
	w.keys.put("openai", openai.URL+"/v1")
	w.keys.mu.Lock()
	cred := w.keys.creds["openai"]
	cred.AllowPrivate = true
	w.keys.creds["openai"] = cred
	w.keys.mu.Unlock()
	ask("acme/m").want(t, 200, "") // the user's own server may have it
	w.keys.mu.Lock()
	w.keys.err = fault.New(fault.Locked, "the keychain is locked")
	w.keys.mu.Unlock()
	ask("mine/secret").want(t, 503, "locked")
}

// listOf returns a TLS provider that lists one model and responds to any request.
func listOf(id string) *httptest.Server {
	return httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/models") {
			io.WriteString(rw, `{"data":[{"id":"`+id+`"}]}`)
			return
		}
		io.WriteString(rw, `{"choices":[]}`)
	}))
}

// TestBodiesHaveABudget checks that all bodies together are limited, whatever their
// requests wait for.
func TestBodiesHaveABudget(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config) { c.BodyMemory, c.BodyWait = 3<<20, 20*time.Millisecond })
	arrived, respond := make(chan struct{}), make(chan struct{})
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-respond
	})
	large := `{"model":"mistral/m","messages":[{"role":"user","content":"` + strings.Repeat("x", 2<<20) + `"}]}`
	done := make(chan answer, 1)
	go func() {
		a := w.do("POST", "/v1/chat/completions", large)
		done <- a
	}()
	<-arrived
	for what, body := range map[string]io.Reader{"known": strings.NewReader(large), "chunked": io.MultiReader(strings.NewReader(large))} {
		req, err := http.NewRequest("POST", w.server.URL+"/v1/messages", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", w.token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := noRedirects.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "overloaded_error") {
			t.Errorf("%s: %d %v %s", what, resp.StatusCode, resp.Header, text)
		}
	}
	go func() { <-arrived }()
	small := make(chan answer, 1)
	go func() { small <- w.do("POST", "/v1/chat/completions", `{"model":"mistral/m","messages":[]}`) }()
	close(respond)
	if a := <-small; a.status != 200 {
		t.Errorf("a small body at the same time: %d %s", a.status, a.body)
	}
	if a := <-done; a.status != 200 {
		t.Errorf("the first request: %d %s", a.status, a.body)
	}
	go func() { <-arrived }()
	w.do("POST", "/v1/chat/completions", large).want(t, 200, "") // the memory is free again
}
