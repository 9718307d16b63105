// Package budget tests budgets and `hostless kill` with the real binaries: over the TCP
// port, the control socket and the command line.
package budget

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// upstream is a provider that reports usage according to the request: a prompt of 100
// tokens and as many output tokens as max_tokens allows.
type upstream struct {
	*httptest.Server
	asked atomic.Int64 // requests and messages received
	fail  atomic.Bool  // respond with 500

	mu   sync.Mutex
	hold chan struct{} // responses wait for it; nil means they do not wait
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.asked.Add(1)
		if strings.HasSuffix(r.URL.Path, "/realtime") {
			u.realtime(w, r)
			return
		}
		var asked struct {
			MaxTokens int64 `json:"max_tokens"`
			Stream    bool  `json:"stream"`
		}
		json.NewDecoder(r.Body).Decode(&asked)
		u.mu.Lock()
		hold := u.hold
		u.mu.Unlock()
		switch {
		case u.fail.Load():
			http.Error(w, `{"error":{"message":"broken","type":"server_error"}}`, 500)
		case asked.Stream:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"one"}}]}`+"\n\n")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			if hold != nil {
				select {
				case <-hold:
				case <-r.Context().Done():
					return
				}
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"id":"c","object":"chat.completion","model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],`+
				`"usage":{"prompt_tokens":100,"completion_tokens":%d,"total_tokens":%d}}`, asked.MaxTokens, asked.MaxTokens+100)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

// realtime answers each response.create with a response that used 200 tokens.
func (u *upstream) realtime(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for n := 0; ; n++ {
		_, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		if bytes.Contains(data, []byte("response.create")) {
			u.asked.Add(1)
			c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"response.created","response":{"id":"r%d","status":"in_progress"}}`, n))
			c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"response.done","response":{"id":"r%d","status":"completed","usage":{"input_tokens":100,"output_tokens":100,"total_tokens":200}}}`, n))
		}
	}
}

func (u *upstream) wait() (release func()) {
	hold := make(chan struct{})
	u.mu.Lock()
	u.hold = hold
	u.mu.Unlock()
	return func() {
		u.mu.Lock()
		u.hold = nil
		u.mu.Unlock()
		close(hold)
	}
}

// world is a daemon with the upstream as openai and anthropic.
type world struct {
	*harness.Daemon
	t     *testing.T
	up    *upstream
	token string
}

const config = `{"prices":{"openai/gpt-x":{"input":1,"output":10},"anthropic/gpt-x":{"input":1,"output":10}},"token_persistence":"file"}`

func newWorld(t *testing.T) *world {
	t.Helper()
	home := harness.Home(t)
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, up: newUpstream(t)}
	w.start(home)
	for _, name := range []string{"openai", "anthropic", "google"} {
		if r := w.CLIWith("sk-proj-canary-0000000000000000", "keys", "add", name, "-", "--base-url", w.up.URL); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	w.token = w.Must("token", "create", "--name", "tests")
	return w
}

func (w *world) start(home string) {
	w.Daemon = harness.StartIn(w.t, home, "--token-persistence", "file")
}

// post sends a request and returns the response and its body.
func (w *world) post(path, body string) (*http.Response, string) {
	w.t.Helper()
	req, _ := http.NewRequest("POST", w.URL+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Error(err)
		return &http.Response{Header: http.Header{}}, ""
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp, string(data)
}

// chat requests the given number of output tokens.
func (w *world) chat(output int) (*http.Response, string) {
	w.t.Helper()
	return w.post("/v1/chat/completions", fmt.Sprintf(`{"model":"gpt-x","max_tokens":%d,"messages":[{"role":"user","content":"hello"}]}`, output))
}

// budget is an entry of GET /budgets in the documented form.
type budget struct {
	ID       string          `json:"id"`
	Scope    map[string]any  `json:"scope"`
	Unit     string          `json:"unit"`
	Limit    json.RawMessage `json:"limit"`
	Period   string          `json:"period"`
	Used     json.RawMessage `json:"used"`
	Reserved json.RawMessage `json:"reserved"`
	ResetsAt time.Time       `json:"resets_at"`
}

// control sends a request to the control socket and decodes the response into out.
func (w *world) control(method, path string, body, out any) int {
	w.t.Helper()
	data, _ := json.Marshal(body)
	req, _ := http.NewRequest(method, "http://hostless"+path, bytes.NewReader(data))
	resp, err := w.Control().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ = io.ReadAll(resp.Body)
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			w.t.Fatalf("%s %s: %v: %s", method, path, err, data)
		}
	}
	return resp.StatusCode
}

func (w *world) budgets() []budget {
	w.t.Helper()
	var l struct {
		Budgets []budget `json:"budgets"`
	}
	w.control("GET", "/budgets", nil, &l)
	return l.Budgets
}

// spent returns the content of GET /spend for this month.
func (w *world) spent() (cost string, tokens, requests int64) {
	w.t.Helper()
	var s struct {
		Total struct {
			Requests int64  `json:"requests"`
			Cost     string `json:"cost_usd"`
			Tokens   struct {
				Input  int64 `json:"input"`
				Output int64 `json:"output"`
			} `json:"tokens"`
		} `json:"total"`
	}
	w.control("GET", "/spend?period=month", nil, &s)
	return s.Total.Cost, s.Total.Tokens.Input + s.Total.Tokens.Output, s.Total.Requests
}

// rows returns the newest rows of the request log.
func (w *world) rows(n int) (rows []map[string]any) {
	w.t.Helper()
	var l struct {
		Requests []map[string]any `json:"requests"`
	}
	w.control("GET", fmt.Sprintf("/log?n=%d", n), nil, &l)
	return l.Requests
}
