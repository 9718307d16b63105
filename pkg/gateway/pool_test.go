package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/keypool"
	"github.com/hostless/hostless/pkg/secret"
)

// ring has several keys for each provider. It implements keypool.Keys on top of a world's
// keyring.
type ring struct {
	mu   sync.Mutex
	more map[string][]gateway.Credential
}

func (r *ring) Count(provider string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.more[provider])
}

func (r *ring) All(_ context.Context, provider string) ([]gateway.Credential, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.more[provider]), nil
}

// account is a stand-in for a provider with several accounts. Each key has a behaviour, and
// an account that remembers what it stored.
type account struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string                                       // key of each request
	by    map[string]func(http.ResponseWriter, int) bool // by key; reports whether it responded to the nth request itself
	n     map[string]int
	ids   map[string]string // response IDs, by key
	size  int               // of the last body
}

func newAccount(t testing.TB) *account {
	a := &account{by: map[string]func(http.ResponseWriter, int) bool{}, n: map[string]int{}, ids: map[string]string{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	body, _ := io.ReadAll(r.Body)
	var req struct {
		Stream   bool   `json:"stream"`
		Previous string `json:"previous_response_id"`
	}
	json.Unmarshal(body, &req)
	a.mu.Lock()
	a.asked, a.size = append(a.asked, key), len(body)
	a.n[key]++
	n, behave := a.n[key], a.by[key]
	known := req.Previous == "" || a.ids[req.Previous] == key
	id := fmt.Sprintf("resp_%d", len(a.asked))
	a.ids[id] = key
	a.mu.Unlock()
	w.Header().Set("X-Answered-With", key)
	switch {
	case behave != nil && behave(w, n):
	case !known:
		w.WriteHeader(400)
		io.WriteString(w, `{"error":{"message":"Previous response not found","code":"previous_response_not_found"}}`)
	case strings.HasSuffix(r.URL.Path, "/files/file-1") && key != "k-good":
		w.WriteHeader(404)
	case req.Stream:
		events(w)(`data: {"choices":[{"index":0,"delta":{"content":"pong"}}]}` + "\n\ndata: [DONE]\n\n")
	case strings.HasSuffix(r.URL.Path, "/responses"):
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"object":"response","status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":4}}`, id)
	default:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"pong"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	}
}

// keysAsked returns the keys of the requests since the last call.
func (a *account) keysAsked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

// answering returns a behaviour that responds with a status.
func answering(status int, header ...string) func(http.ResponseWriter, int) bool {
	return func(w http.ResponseWriter, _ int) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, `{"error":{"message":"no"}}`)
		return true
	}
}

// newPool returns a world whose provider openai has a key for each label.
func newPool(t testing.TB, labels ...string) (*world, *account, *keypool.Pool, *recorder, *testClock) {
	a, r, seen, clock := newAccount(t), &ring{more: map[string][]gateway.Credential{}}, &recorder{concluded: make(chan struct{}, 1024)}, newTestClock()
	pool, err := keypool.New(keypool.Config{Keys: r, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *gateway.Config) {
		c.Planner, c.Observers, c.Now = pool.Planner, []pipeline.Observer{pool, seen}, clock.now
	})
	for _, label := range labels {
		r.more["openai"] = append(r.more["openai"], gateway.Credential{Provider: "openai", Label: label, Key: secret.New("k-" + label), BaseURL: a.URL + "/v1"})
	}
	w.keys.putCred("openai", r.more["openai"][0])
	return w, a, pool, seen, clock
}

// testClock is a clock that a test moves.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func newTestClock() *testClock { return &testClock{at: time.Now()} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// TestPoolUnderLoad checks that with a dead, a rate-limited and a good key under 32
// clients, no error reaches a caller and conversations stay on their key.
func TestPoolUnderLoad(t *testing.T) {
	w, a, pool, _, _ := newPool(t, "dead", "good", "limited")
	a.by["k-dead"] = answering(401)
	a.by["k-limited"] = func(rw http.ResponseWriter, n int) bool {
		return n%10 != 0 && answering(429, "Retry-After", "30")(rw, n)
	}
	const clients, turns = 32, 20
	var mu sync.Mutex
	var wait sync.WaitGroup
	same, moved := 0, 0
	for client := range clients {
		wait.Go(func() {
			last := ""
			for turn := range turns {
				history := fmt.Sprintf(`{"role":"user","content":[{"type":"text","text":"task %d"}]}`, client) + strings.Repeat(`,{"role":"assistant","content":"pong"},{"role":"user","content":"go on"}`, turn)
				stream := turn%2 == 1
				resp, err := http.DefaultClient.Do(w.request("POST", "/v1/chat/completions", fmt.Sprintf(`{"model":"gpt-5","stream":%t,"messages":[{"role":"system","content":"turn %d"},%s]}`, stream, turn, history)))
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				key := resp.Header.Get("X-Answered-With")
				if resp.StatusCode != 200 || !strings.Contains(string(body), "pong") {
					t.Errorf("client %d, turn %d: %d %s", client, turn, resp.StatusCode, body)
				}
				mu.Lock()
				if key == last {
					same++
				} else if last != "" {
					moved++
				}
				mu.Unlock()
				last = key
			}
		})
	}
	wait.Wait()
	if affinity := float64(same) / float64(same+moved); affinity < 0.95 {
		t.Errorf("affinity %.3f", affinity)
	} else {
		t.Logf("affinity %.3f over %d turns, requests by key %v", affinity, clients*turns, a.n)
	}
	if h := pool.Health("openai", "dead"); h.State != keypool.Refused || h.Status != 401 {
		t.Errorf("the dead key is %+v", h)
	}
	if p := pool.Problems(); len(p) != 1 || !strings.Contains(p[0], "openai (dead)") || !strings.Contains(p[0], "hostless keys test openai") {
		t.Errorf("problems %q", p)
	}
}

// TestPoolKeys checks which outcomes disable a key, and for how long.
func TestPoolKeys(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first func(http.ResponseWriter, int) bool
		asked []string // by key: a for the first one that is used, b for the other
		again []string // in the next call
		state string
		pass  time.Duration
	}{
		{"401", answering(401), []string{"a", "b"}, []string{"b"}, keypool.Refused, 2 * time.Hour},
		{"402", answering(402), []string{"a", "b"}, []string{"b"}, keypool.Refused, 2 * time.Hour},
		{"403", answering(403), []string{"a", "b"}, []string{"b"}, keypool.Refused, 2 * time.Hour},
		{"429", answering(429, "Retry-After", "60"), []string{"a", "b"}, []string{"b"}, keypool.Limited, 61 * time.Second},
		{"429 without a time", answering(429), []string{"a", "b"}, []string{"b"}, keypool.Limited, 16 * time.Second},
		{"no credit", func(w http.ResponseWriter, _ int) bool {
			w.WriteHeader(429)
			io.WriteString(w, `{"error":{"code":"insufficient_quota"}}`)
			return true
		}, []string{"a", "b"}, []string{"b"}, keypool.Refused, 2 * time.Hour},
		{"503", answering(503), []string{"a", "a"}, []string{"a", "a"}, keypool.OK, 0},
		{"503 once", func(w http.ResponseWriter, n int) bool { return n == 1 && answering(503)(w, n) }, []string{"a", "a"}, []string{"a"}, keypool.OK, 0},
		{"400", answering(400), []string{"a"}, []string{"a"}, keypool.OK, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, pool, seen, clock := newPool(t, "one", "two")
			const ask = `{"model":"gpt-5","messages":[{"role":"user","content":"ping"}]}`
			w.do("POST", "/v1/chat/completions", ask)
			first := a.keysAsked()[0]
			seen.last(t)
			a.n[first] = 0
			a.by[first] = tt.first
			names := func() (out []string) {
				for _, key := range a.keysAsked() {
					out = append(out, map[bool]string{true: "a", false: "b"}[key == first])
				}
				return out
			}
			answer := w.do("POST", "/v1/chat/completions", ask)
			if got := names(); !slices.Equal(got, tt.asked) {
				t.Errorf("asked %v, want %v", got, tt.asked)
			}
			if _, o := seen.last(t); len(o.Attempts) != len(tt.asked) || o.Attempts[0].KeyLabel != strings.TrimPrefix(first, "k-") {
				t.Errorf("attempts %+v", o.Attempts)
			}
			if n := answer.header.Get("X-Hostless-Attempts"); (n == "2") != (len(tt.asked) == 2) {
				t.Errorf("x-hostless-attempts %q", n)
			}
			w.do("POST", "/v1/chat/completions", ask)
			if got := names(); !slices.Equal(got, tt.again) {
				t.Errorf("the next call asked %v, want %v", got, tt.again)
			}
			label := strings.TrimPrefix(first, "k-")
			if h := pool.Health("openai", label); h.State != tt.state {
				t.Errorf("health %+v, want %s", h, tt.state)
			}
			if tt.pass == 0 {
				return
			}
			// After that time the key is tried again, and used again if it works.
			a.by[first] = nil
			clock.pass(tt.pass)
			w.do("POST", "/v1/chat/completions", ask, keypool.KeyHeader, label).want(t, 200, "pong")
			if h := pool.Health("openai", label); h.State != keypool.OK {
				t.Errorf("afterwards %+v", h)
			}
		})
	}
}

// TestPoolAllDown checks that one key is tried if none works, and that the caller gets its
// response.
func TestPoolAllDown(t *testing.T) {
	w, a, _, _, _ := newPool(t, "one", "two", "three")
	for _, key := range []string{"k-one", "k-two", "k-three"} {
		a.by[key] = answering(429, "Retry-After", "30")
	}
	const ask = `{"model":"gpt-5","messages":[{"role":"user","content":"ping"}]}`
	w.do("POST", "/v1/chat/completions", ask).want(t, 429, "no")
	if n := len(a.keysAsked()); n != 3 {
		t.Errorf("%d requests", n)
	}
	w.do("POST", "/v1/chat/completions", ask).want(t, 429, "no")
	if n := len(a.keysAsked()); n != 1 {
		t.Errorf("then %d requests", n)
	}
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-5-mini","messages":[]}`).want(t, 429, "no")
	if n := len(a.keysAsked()); n != 3 {
		t.Errorf("another model, limited apart: %d requests", n)
	}
	w.do("POST", "/v1/chat/completions", ask, keypool.KeyHeader, "four").want(t, 400, "unknown_key")
}

// TestPoolSessions checks which properties of a request keep a conversation on its key.
func TestPoolSessions(t *testing.T) {
	labels := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	w, a, _, _, _ := newPool(t, labels...)
	for _, tt := range []struct {
		name, path, body string // %d is the conversation, %s the turn
		headers          []string
	}{
		{"Claude Code's header", "/v1/chat/completions", `{"model":"gpt-5","messages":[{"role":"user","content":"%[2]s"}]}`, []string{"X-Claude-Code-Session-Id", "s%d"}},
		{"Codex's header", "/v1/chat/completions", `{"model":"gpt-5","messages":[{"role":"user","content":"%[2]s"}]}`, []string{"session_id", "s%d"}},
		{"Claude Code's user", "/v1/chat/completions", `{"model":"gpt-5","metadata":{"user_id":"user_1_account_2_session_%[1]d"},"messages":[{"role":"user","content":"%[2]s"}]}`, nil},
		{"the same as JSON", "/v1/chat/completions", `{"model":"gpt-5","metadata":{"user_id":"{\"device_id\":\"x\",\"session_id\":\"%[1]d\"}"},"messages":[{"role":"user","content":"%[2]s"}]}`, nil},
		{"prompt_cache_key", "/v1/chat/completions", `{"model":"gpt-5","prompt_cache_key":"k%[1]d","messages":[{"role":"user","content":"%[2]s"}]}`, nil},
		{"conversation", "/v1/responses", `{"model":"gpt-5","conversation":{"id":"conv_%[1]d"},"input":"%[2]s"}`, nil},
		{"the first message", "/v1/chat/completions", `{"model":"gpt-5","messages":[{"role":"system","content":"%[2]s"},{"role":"user","content":[{"type":"text","text":"task %[1]d","cache_control":"%[2]s"}]},{"role":"user","content":"%[2]s"}]}`, nil},
		{"an input", "/v1/responses", `{"model":"gpt-5","input":[{"role":"user","content":[{"type":"input_text","text":"task %[1]d"}]},{"role":"user","content":"%[2]s"}]}`, nil},
	} {
		used := map[string]bool{}
		for conversation := range 24 {
			var keys []string
			for _, turn := range []string{"one", "two", "three"} {
				headers := slices.Clone(tt.headers)
				if headers != nil {
					headers[1] = fmt.Sprintf(headers[1], conversation)
				}
				w.do("POST", tt.path, fmt.Sprintf(tt.body, conversation, turn), headers...).want(t, 200, "")
				keys = append(keys, a.keysAsked()...)
			}
			used[keys[0]] = true
			if len(keys) != 3 || keys[0] != keys[1] || keys[1] != keys[2] {
				t.Errorf("%s: conversation %d went to %v", tt.name, conversation, keys)
			}
		}
		if len(used) < 4 {
			t.Errorf("%s: %d keys of %d were used", tt.name, len(used), len(labels))
		}
	}
}

// TestPoolStored checks that an object stored in the account of one key is found.
func TestPoolStored(t *testing.T) {
	w, a, _, _, clock := newPool(t, "a", "b", "c", "good")
	for chain := range 8 {
		previous, first := "", ""
		for turn := range 4 {
			got := w.do("POST", "/v1/responses", fmt.Sprintf(`{"model":"gpt-5","input":"chain %d, turn %d"%s}`, chain, turn, previous))
			got.want(t, 200, "resp_")
			keys := a.keysAsked()
			if len(keys) != 1 || first != "" && keys[0] != first {
				t.Errorf("turn %d of a chain that began with %s went to %v", turn, first, keys)
			}
			var r struct{ ID string }
			json.Unmarshal([]byte(got.body), &r)
			first, previous = keys[0], fmt.Sprintf(`,"previous_response_id":%q`, r.ID)
		}
	}
	// An object that is unknown after a restart is looked up with each key.
	a.ids["resp_before"] = "k-good"
	w.do("POST", "/v1/responses", `{"model":"gpt-5","input":"x","previous_response_id":"resp_before"}`).want(t, 200, "resp_")
	w.do("POST", "/v1/responses", `{"model":"gpt-5","input":"x","previous_response_id":"resp_nobody"}`).want(t, 400, "previous_response_not_found")
	a.keysAsked()
	w.do("GET", "/v1/files/file-1", "").want(t, 200, "")
	w.do("POST", "/v1/batches", `{"input_file_id":"x"}`).want(t, 200, "")
	a.keysAsked()
	clock.pass(time.Minute)
	// A form is sent again as a whole if its first key is refused.
	form := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n" + strings.Repeat("RIFF", 40<<10) + "\r\n--b--\r\n"
	for _, key := range []string{"k-a", "k-b", "k-c"} {
		a.by[key] = answering(401)
	}
	w.do("POST", "/v1/audio/transcriptions", form, "Content-Type", "multipart/form-data; boundary=b").want(t, 200, "")
	if keys := a.keysAsked(); keys[len(keys)-1] != "k-good" || a.size != len(form) {
		t.Errorf("asked %v; the last one got %d bytes of %d", keys, a.size, len(form))
	}
	clear(a.by)
	// A batch is not created twice if the outcome of the first attempt is unknown.
	for _, key := range []string{"k-a", "k-b", "k-c", "k-good"} {
		a.by[key] = answering(502)
	}
	w.do("POST", "/v1/batches", `{"input_file_id":"x"}`).want(t, 502, "")
	if keys := a.keysAsked(); len(keys) != 1 {
		t.Errorf("a batch was asked for %d times", len(keys))
	}
}

// TestPoolSockets checks that a WebSocket is opened with the next key, or to the next
// target, if the first one is refused, and that a refused one is skipped afterwards.
func TestPoolSockets(t *testing.T) {
	w, a, pool, seen, _ := newPool(t, "one", "two")
	upgrader := websocket.Upgrader{}
	var mu sync.Mutex
	status := map[string]int{}
	var asked []string
	a.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		mu.Lock()
		asked = append(asked, key+" "+r.URL.Query().Get("model"))
		refusal := status[key]
		mu.Unlock()
		if refusal != 0 {
			rw.WriteHeader(refusal)
			return
		}
		c, err := upgrader.Upgrade(rw, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		c.WriteMessage(websocket.TextMessage, []byte(`{"type":"session.created"}`))
		c.ReadMessage()
	})
	other := httptest.NewServer(a.Config.Handler)
	t.Cleanup(other.Close)
	w.keys.putCred("xai", gateway.Credential{BaseURL: other.URL + "/v1", Key: secret.New("k-xai")})
	for _, key := range []string{"k-one", "k-two"} {
		mu.Lock()
		status = map[string]int{key: 401}
		mu.Unlock()
		other := map[string]string{"k-one": "k-two", "k-two": "k-one"}[key]
		c, resp, err := w.dial("/v1/realtime?model=gpt-realtime")
		if err != nil {
			t.Fatal(err, resp)
		}
		receive(t, c)
		c.Close()
		if _, o := seen.last(t); o.Attempts[len(o.Attempts)-1].KeyLabel != strings.TrimPrefix(other, "k-") {
			t.Errorf("with %s refused: attempts %+v", key, o.Attempts)
		}
		pool.Forget("openai")
	}
	w.withAliases("voice=openai/gpt-realtime,xai/grok-voice")
	mu.Lock()
	status = map[string]int{"k-one": 429, "k-two": 429}
	mu.Unlock()
	asked = nil
	c, resp, err := w.dial("/v1/realtime?model=voice")
	if err != nil {
		t.Fatal(err, resp)
	}
	receive(t, c)
	c.Close()
	if len(asked) != 3 || asked[2] != "k-xai grok-voice" || resp.Header.Get("X-Hostless-Attempts") != "3" {
		t.Errorf("asked %q, headers %v", asked, resp.Header)
	}
	// If all are refused, the caller gets the last refusal.
	mu.Lock()
	status["k-xai"] = 503
	mu.Unlock()
	if _, resp, err := w.dial("/v1/realtime?model=voice"); err == nil || resp.StatusCode != 503 {
		t.Errorf("got %v, %v", resp, err)
	}
}
