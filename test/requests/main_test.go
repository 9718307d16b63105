// Package requests_test tests the request log, spend, prices and metrics of the real
// binaries from outside: over the control socket and the command line.
package requests_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

const key = "sk-provider-key-of-this-test-0001"

// world is a daemon with stand-ins for three providers.
type world struct {
	*harness.Daemon
	t     *testing.T
	token string
}

// start runs a daemon in a new home; config is the content of config.json, or "".
func start(t *testing.T) *world {
	t.Helper()
	w := &world{Daemon: harness.Start(t), t: t}
	w.provider("openai", standin.OpenAI(t, key).URL+"/v1")
	w.provider("anthropic", standin.Anthropic(t, key).URL)
	w.provider("google", standin.Gemini(t, key).URL+"/v1beta")
	w.token = w.mint("--name", "tests")
	return w
}

func (w *world) provider(name, base string) {
	w.t.Helper()
	w.Must("keys", "add", name, key, "--base-url", base)
}

func (w *world) mint(args ...string) string {
	w.t.Helper()
	var made struct{ Token string }
	w.decode(w.Must(append([]string{"token", "create", "--json"}, args...)...), &made)
	return made.Token
}

func (w *world) decode(text string, into any) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.t.Fatalf("%v in %.300s", err, text)
	}
}

// ask sends a request with the token and reads the whole response.
func (w *world) ask(method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	resp, err := w.send(context.Background(), method, path, body, header...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func (w *world) send(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "openai/python 1.2.3")
	if strings.HasPrefix(path, "/v1/messages") {
		req.Header.Set("anthropic-version", "2023-06-01")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return http.DefaultClient.Do(req)
}

// get sends a GET request to the control API.
func (w *world) get(path string, into any) {
	w.t.Helper()
	resp, err := w.Control().Get("http://hostless" + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s, %v\n%s", path, resp.Status, err, data)
	}
	if err := json.Unmarshal(data, into); err != nil {
		w.t.Fatalf("GET %s: %v in %.300s", path, err, data)
	}
}

// row is a row of the log in its documented form.
type row struct {
	ID, App, Token, Client, Dialect, Endpoint, Model, Provider string

	TokenName     string `json:"token_name"`
	Time          time.Time
	ResolvedModel string  `json:"resolved_model"`
	KeyLabel      *string `json:"key_label"`
	Status        int
	ErrorKind     string `json:"error_kind"`
	Stream        bool
	FirstByte     *int64 `json:"first_byte_ms"`
	Duration      int64  `json:"duration_ms"`
	Tokens        tokens
	Cost          *string `json:"cost_usd"`
	Priced        bool
	Estimated     bool
	Price         map[string]string
	Ignored       []string
	Attempts      []struct {
		Provider, Model string
		Status          int
		ErrorKind       string `json:"error_kind"`
	}
}

type tokens struct {
	Input, Cached, Output, Reasoning int64

	CacheWrite   int64 `json:"cache_write"`
	CacheWrite1h int64 `json:"cache_write_1h"`
}

func (w *world) rows(query string) []row {
	w.t.Helper()
	var list struct{ Requests []row }
	w.get("/log?"+query, &list)
	return list.Requests
}

// last returns the newest row.
func (w *world) last() row {
	w.t.Helper()
	rows := w.rows("n=1")
	if len(rows) != 1 {
		w.t.Fatalf("%d rows, want 1", len(rows))
	}
	return rows[0]
}

// sum is a sum of spend in its documented form.
type sum struct {
	Key                        string
	Requests, Errors, Unpriced int64
	Tokens                     tokens
	Cost                       string `json:"cost_usd"`
	Saved                      string `json:"saved_usd"`
	UnpricedRequests           int64  `json:"unpriced_requests"`
}

type report struct {
	From, To time.Time
	Total    sum
	Groups   []sum
}

// scripted is a stand-in with responses from the test, which counts its requests.
type scripted struct {
	*httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, body []byte)
}

func script(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body []byte)) *scripted {
	s := &scripted{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.asked.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func reply(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func chat(model string, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":"hello"}]}`, model, stream)
}
