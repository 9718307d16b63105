package gateway_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// canary is the provider key of these tests. It must never appear anywhere but at its
// provider.
const canary = "sk-canary-3f9c1d7e5b2a4860"

// keyring is a gateway.Keys in memory.
type keyring struct {
	mu    sync.Mutex
	creds map[string]gateway.Credential
	err   error

	listErr error // of Stored only
}

func (k *keyring) Get(ctx context.Context, name string) (gateway.Credential, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.creds[name]
	return c, ok, k.err
}

func (k *keyring) Stored() ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name := range k.creds {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, k.listErr
}

func (k *keyring) put(name, url string) { k.putCred(name, gateway.Credential{BaseURL: url}) }

func (k *keyring) putCred(name string, c gateway.Credential) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.Key.IsZero() {
		c.Key = secret.New(canary)
	}
	k.creds[name] = c
}

// world is a gateway with a real listener and stand-ins as providers.
type world struct {
	t        testing.TB
	tokens   *token.Store
	keys     *keyring
	settings gateway.Settings
	gw       *gateway.Gateway
	server   *httptest.Server
	token    string
	log      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t testing.TB, change ...func(*gateway.Config)) *world {
	t.Helper()
	tokens, _, err := token.New(token.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, tokens: tokens, keys: &keyring{creds: map[string]gateway.Credential{}}, log: &lockedBuffer{}}
	cfg := gateway.Config{
		Tokens: tokens, Keys: w.keys, Version: "test", Settings: func() gateway.Settings { return w.settings },
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	if w.gw, err = gateway.New(cfg); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(w.gw)
	w.token = w.mint(token.Request{})
	t.Cleanup(func() {
		w.server.Close()
		w.gw.Close()
		if strings.Contains(w.log.String(), canary) || strings.Contains(w.log.String(), w.token) {
			t.Errorf("a secret was logged:\n%s", w.log)
		}
	})
	return w
}

func (w *world) mint(req token.Request) string {
	w.t.Helper()
	m, err := w.tokens.Mint(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Secret.Reveal()
}

// upstream starts a stand-in for a provider.
func (w *world) upstream(provider string, h http.HandlerFunc) *httptest.Server {
	w.t.Helper()
	s := httptest.NewServer(h)
	w.t.Cleanup(s.Close)
	w.keys.put(provider, s.URL)
	return s
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) request(method, path, body string, headers ...string) *http.Request {
	w.t.Helper()
	req, err := http.NewRequest(method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return req
}

// do sends a request and reads the whole response. A header with an empty value is removed
// from the request.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	resp, err := noRedirects.Do(w.request(method, path, body, headers...))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, string(data)}
	for name, values := range a.header {
		for _, v := range values {
			if strings.Contains(v, canary) {
				w.t.Errorf("%s %s: header %s holds the key", method, path, name)
			}
		}
	}
	if strings.Contains(a.body, canary) {
		w.t.Errorf("%s %s: the body holds the key", method, path)
	}
	return a
}

var noRedirects = &http.Client{
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (a answer) want(t testing.TB, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Errorf("got %d %s; want %d with %q", a.status, a.body, status, text)
	}
}
