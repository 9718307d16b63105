package oauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/oauth"
	"github.com/hostless/hostless/pkg/secret"
)

// endpoint is a token endpoint without a network.
type endpoint func(*http.Request) (int, string)

func (e endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := e(r)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "Location": {"https://evil.example/"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

type world struct {
	*oauth.Logins
	mu     sync.Mutex
	stored map[string]string
}

func newWorld(t *testing.T, clients string, e endpoint) *world {
	t.Helper()
	w := &world{stored: map[string]string{}}
	hint := func(key string) oauth.Stored { return oauth.Stored{Storage: "file", Hint: key[len(key)-4:]} }
	l, warnings, err := oauth.New(oauth.Config{
		Path: filepath.Join(t.TempDir(), "logins.json"), Clients: func() json.RawMessage { return json.RawMessage(clients) }, HTTP: e,
		Getenv:   func(string) string { return "" },
		Callback: func() string { return "http://localhost:4711/callback" },
		Store: func(_ context.Context, provider string, key secret.String) (oauth.Stored, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stored[provider] = key.Reveal()
			return hint(key.Reveal()), nil
		},
		Find: func(_ context.Context, provider string) (oauth.Stored, bool, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			key, ok := w.stored[provider]
			if !ok {
				return oauth.Stored{}, false, nil
			}
			return hint(key), true, nil
		},
		Remove: func(_ context.Context, provider string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.stored, provider)
			return nil
		},
	})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	w.Logins = l
	return w
}

func (w *world) land(query string) (int, string) {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost/callback?"+query, nil))
	return rec.Code, rec.Body.String()
}

// state returns a login's state from the URL that starts it.
func state(t *testing.T, page string) string {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := u.Query().Get("state"); s != "" {
		return s
	}
	back, err := url.Parse(u.Query().Get("callback_url"))
	if err != nil || back.Query().Get("state") == "" {
		t.Fatalf("no state in %s", page)
	}
	return back.Query().Get("state")
}

// TestEndpointAnswers: whatever a token endpoint responds, either a key is stored, or the
// login fails with a reason that contains no part of the response.
func TestEndpointAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		key    string
	}{
		{"openrouter's", 200, `{"key":"sk-or-v1-canary"}`, "sk-or-v1-canary"},
		{"created", 201, `{"access_token":"canary-token"}`, "canary-token"},
		{"an error", 400, `{"error":"canary"}`, ""},
		{"a redirect", 302, `canary`, ""},
		{"no JSON", 200, `canary`, ""},
		{"no key", 200, `{"error":"canary"}`, ""},
		{"a key with a line end", 200, `{"key":"canary\nX: y"}`, ""},
		{"a key of a wrong type", 200, `{"key":{"canary":1}}`, ""},
		{"without an end", 200, `{"key":"` + strings.Repeat("canary", 100000), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			w := newWorld(t, ``, func(r *http.Request) (int, string) {
				asked++
				if r.URL.String() != "https://openrouter.ai/api/v1/auth/keys" {
					t.Errorf("asked %s", r.URL)
				}
				return c.status, c.body
			})
			id, page, err := w.Begin("openrouter")
			if err != nil || !strings.HasPrefix(page, "https://openrouter.ai/auth?") {
				t.Fatal(page, err)
			}
			status, body := w.land("code=c&state=" + state(t, page))
			o, err := w.Wait(t.Context(), id, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if asked != 1 || w.stored["openrouter"] != c.key || (status == 200) != (c.key != "") || (o.Status == oauth.Done) != (c.key != "") {
				t.Errorf("%d requests; stored %q, page %d, outcome %+v", asked, w.stored["openrouter"], status, o)
			}
			if strings.Contains(body+o.Reason, "canary") {
				t.Errorf("the endpoint's response is shown: %s %s", body, o.Reason)
			}
		})
	}
}

// TestState: a redirect is accepted once, in time, and only for its own login.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		w := newWorld(t, `{"mine":{"auth_url":"https://a.example/auth?x=1","token_url":"https://a.example/token","client_id":"me"}}`, func(r *http.Request) (int, string) {
			asked.Add(1)
			time.Sleep(time.Second)
			return 200, `{"access_token":"key-of-mine-0001"}`
		})
		_, page, err := w.Begin("mine")
		if err != nil || !strings.Contains(page, "x=1") || !strings.Contains(page, "redirect_uri=http%3A%2F%2Flocalhost%3A4711%2Fcallback") {
			t.Fatal(page, err)
		}
		s := state(t, page)
		// The code is checked first: without one the login stays in progress.
		if status, _ := w.land("state=" + s); status != 400 {
			t.Errorf("without a code: %d", status)
		}
		if status, _ := w.land("code=c&state=" + s + "&state=other"); status != 400 {
			t.Errorf("two states: %d", status)
		}
		var good atomic.Int32
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if status, _ := w.land("code=c&state=" + s); status == 200 {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 || asked.Load() != 1 {
			t.Errorf("%d of 5 redirects were accepted, with %d requests to the endpoint", good.Load(), asked.Load())
		}
		if list, err := w.List(t.Context()); err != nil || len(list) != 1 || !list[0].Current || list[0].Hint != "0001" {
			t.Errorf("%+v %v", list, err)
		}

		id, page, _ := w.Begin("mine")
		if !w.InProgress() {
			t.Error("a login is not in progress")
		}
		other, second, _ := w.Begin("mine")
		if o, err := w.Wait(t.Context(), id, time.Minute); err != nil || o.Status != oauth.Failed {
			t.Errorf("a replaced login: %+v %v", o, err)
		}
		if status, _ := w.land("code=c&state=" + state(t, page)); status != 400 {
			t.Errorf("its redirect: %d", status)
		}
		time.Sleep(10*time.Minute + time.Second)
		if status, _ := w.land("code=c&state=" + state(t, second)); status != 400 || w.InProgress() {
			t.Errorf("a redirect after ten minutes: %d", status)
		}
		if _, err := w.Wait(t.Context(), other, time.Minute); !fault.Is(err, fault.NotFound) {
			t.Errorf("a login that has expired: %v", err)
		}
	})
}

// TestClients: valid and invalid values of oauth_clients.
func TestClients(t *testing.T) {
	for _, c := range []struct{ clients, provider, want string }{
		{``, "nobody", "there is no login for"},
		{`[]`, "openrouter", "must have the form"},
		{`{"x":{"auth_url":"https://a.example","token_url":"https://a.example"}}`, "x", "no client_id"},
		{`{"x":{"auth_url":"http://a.example","token_url":"https://a.example","client_id":"c"}}`, "x", "must be an https URL"},
		{`{"x":{"auth_url":"https://a.example","token_url":"https://u:p@a.example","client_id":"c"}}`, "x", "must be an https URL"},
		{`{"x":{"auth_url":"javascript:alert(1)","token_url":"https://a.example","client_id":"c"}}`, "x", "must be an https URL"},
		{`{"x":{"auth_url":"http://127.0.0.1:1/a","token_url":"http://[::1]:1/b","client_id":"c"}}`, "x", ""},
		{`{"openrouter":{"token_url":"http://localhost:1/b"}}`, "openrouter", ""},
	} {
		w := newWorld(t, c.clients, nil)
		_, _, err := w.Begin(c.provider)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.clients, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "logins.json")
	os.WriteFile(path, []byte(`{"version":1,"logins":[`), 0o600)
	if _, warnings, err := oauth.New(oauth.Config{Path: path}); err != nil || len(warnings) != 1 || !strings.Contains(fmt.Sprint(warnings), "kept as") {
		t.Errorf("a damaged file: %v %v", warnings, err)
	}
}
