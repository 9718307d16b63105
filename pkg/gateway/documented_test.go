package gateway_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// documentedRow is a row of the table of paths in docs/proxy-api.md.
type documentedRow struct {
	methods               []string
	pattern, model, scope string
	dialect               string
}

func documentedRows(t *testing.T) []documentedRow {
	t.Helper()
	doc, err := os.ReadFile("../../docs/proxy-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "## Every path\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []documentedRow
	for line := range strings.SplitSeq(section, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], "`/") {
			continue
		}
		r := documentedRow{
			methods: strings.Split(strings.TrimPrefix(cells[0], "| "), ", "), pattern: strings.Trim(cells[1], "`"),
			model: cells[2], scope: cells[3], dialect: strings.TrimSuffix(cells[4], " |"),
		}
		if r.methods[0] == "any" {
			r.methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
		}
		if r.methods[0] == "GET" && r.model != "query or messages" && r.methods[len(r.methods)-1] != "HEAD" {
			r.methods = append(r.methods, "HEAD")
		}
		rows = append(rows, r)
	}
	if len(rows) < 80 {
		t.Fatalf("found only %d rows", len(rows))
	}
	return rows
}

// arrival is a request as a stand-in received it.
type arrival struct{ provider, method, path, body string }

// arrivals is a stand-in for the three providers with endpoints of their own.
type arrivals struct {
	mu  sync.Mutex
	all []arrival
}

func (a *arrivals) take() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.all
	a.all = nil
	return taken
}

func (a *arrivals) serve(t *testing.T, name, token string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.all = append(a.all, arrival{name, r.Method, r.URL.EscapedPath(), string(body)})
		a.mu.Unlock()
		key := map[string]string{"openai": "Authorization", "anthropic": "X-Api-Key", "google": "X-Goog-Api-Key"}[name]
		if got := strings.TrimPrefix(r.Header.Get(key), "Bearer "); got != canary && r.Header.Get("Authorization") != "Bearer "+canary {
			t.Errorf("%s %s arrived at %s without its key", r.Method, r.URL, name)
		}
		for _, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), token) {
				t.Errorf("%s %s carries the bridge token", r.Method, r.URL)
			}
		}
		if websocket.IsWebSocketUpgrade(r) {
			c, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
			if err == nil {
				c.Close()
			}
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/models"):
			io.WriteString(rw, `{"data":[{"id":"gpt-4o-mini"}],"models":[{"name":"models/gemini-2.5-flash"}]}`)
		case strings.Contains(r.URL.Path, "embed"):
			io.WriteString(rw, `{"data":[{"embedding":[1]}]}`)
		default:
			io.WriteString(rw, `{"id":"1","choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}`)
		}
	}
}

// documentedCase is a request for one method of one row.
type documentedCase struct {
	row        documentedRow
	method     string
	path, body string
	model      string  // "" for none
	want       arrival // expected at the provider; zero if Hostless responds itself
}

// documentedCases returns the requests of a row with their expected results.
func documentedCases(row documentedRow) []documentedCase {
	var cases []documentedCase
	provider, model := "openai", "gpt-4o-mini"
	switch row.dialect {
	case "Anthropic":
		provider, model = "anthropic", "claude-sonnet-4-5"
	case "Gemini":
		provider, model = "google", "gemini-2.5-flash"
	}
	for _, method := range row.methods {
		c := documentedCase{row: row, method: method}
		rest := "thing/a%20b"
		up := model
		if row.model == "path" {
			switch {
			case method == "DELETE":
				model = "ft:gpt-4o-mini:acme::id1"
				rest, up = "openai/"+model, model
			case method == "POST":
				rest, up = model+":generateContent", model+":generateContent"
			default:
				rest = model
			}
		}
		c.path = strings.ReplaceAll(strings.Replace(row.pattern, "**", rest, 1), "*", "thing")
		wanted := strings.ReplaceAll(strings.Replace(row.pattern, "**", map[bool]string{true: up, false: rest}[row.model == "path"], 1), "*", "thing")
		if row.model != "–" {
			c.model = model
		}
		if method != "GET" && method != "HEAD" {
			c.body = `{"input":"x"}`
			if strings.Contains(row.model, "body") {
				c.body = `{"model":"` + provider + `/` + model + `","input":"x"}`
			}
		}
		c.want = arrival{provider, method, wanted, strings.Replace(c.body, provider+"/", "", 1)}
		switch {
		case strings.HasPrefix(row.scope, "403, like"), row.scope == "needs no token", row.model == "path" && (method == "GET" || method == "HEAD"), strings.HasSuffix(row.pattern, "/models"):
			c.want = arrival{}
		case row.model == "query or messages":
			c.path += "?model=" + provider + "/" + model
		case row.dialect == "Ollama":
			c.body = `{"model":"openai/gpt-4o-mini","stream":false,"messages":[{"role":"user","content":"x"}],"prompt":"x","input":"x"}`
			c.want = arrival{provider: "openai", method: "POST", path: "/v1/chat/completions"}
			if strings.Contains(row.pattern, "embed") {
				c.want.path = "/v1/embeddings"
			}
		case row.pattern == "/v1/models/**" && method == "POST":
			c.want.path = "/v1beta/models/" + up
		}
		if row.pattern == "/api/show" {
			c.body = `{"model":"openai/gpt-4o-mini"}`
		}
		cases = append(cases, c)
	}
	return cases
}

// TestEveryDocumentedPath sends a request to each method of each documented path, with
// tokens of each kind, and checks what arrives at the provider.
func TestEveryDocumentedPath(t *testing.T) {
	w := newWorld(t)
	seen := &arrivals{}
	for _, name := range []string{"openai", "anthropic", "google"} {
		w.upstream(name, seen.serve(t, name, "sk_local_"))
	}
	w.keys.putCred("openai", gateway.Credential{Key: secret.New(canary), BaseURL: w.keys.creds["openai"].BaseURL + "/v1"})
	all := w.token
	inScope := w.mint(token.Request{Scope: token.Scope{Models: []string{"gpt-4o*", "claude*", "gemini*", "ft:gpt-4o-mini:acme::id1"}}})
	elsewhere := w.mint(token.Request{Scope: token.Scope{Models: []string{"mistral/*"}}})
	w.do("GET", "/v1/models", "") // so that the lists are cached
	seen.take()
	for _, row := range documentedRows(t) {
		for _, c := range documentedCases(row) {
			t.Run(c.method+" "+row.pattern, func(t *testing.T) {
				ask := func(token string) (int, string) {
					t.Helper()
					w.token = token
					if row.model == "query or messages" {
						conn, resp, err := w.dial(c.path)
						if err != nil && resp == nil {
							t.Fatal(err)
						}
						if conn != nil {
							conn.Close()
						}
						return resp.StatusCode, ""
					}
					a := w.do(c.method, c.path, c.body)
					return a.status, a.body
				}
				arrives := func(status int, body string) {
					t.Helper()
					got := seen.take()
					if c.want.path == "" {
						if len(got) != 0 {
							t.Errorf("%s was sent to a provider", got[0].path)
						}
						return
					}
					if len(got) != 1 || status >= 300 {
						t.Fatalf("got %d %s; %d requests were sent to a provider", status, body, len(got))
					}
					if c.want.body == "" {
						got[0].body = ""
					}
					if got[0] != c.want {
						t.Errorf("got  %v\nwant %v", got[0], c.want)
					}
				}
				refused := func(status int, body string) {
					t.Helper()
					if got := seen.take(); status != http.StatusForbidden || len(got) != 0 {
						t.Errorf("got %d %s and %d requests; want 403 and none", status, body, len(got))
					}
				}
				switch {
				case row.scope == "403, like every token":
					refused(ask(all))
					return
				case row.scope == "needs no token":
					w.token = "none"
					if a := w.do(c.method, c.path, c.body, "Authorization", ""); a.status != 200 {
						t.Errorf("got %d %s; want 200 without a token", a.status, a.body)
					}
					return
				}
				status, body := ask(all)
				arrives(status, body)
				if c.want.path == "" && status != 200 {
					t.Errorf("got %d %s; want 200", status, body)
				}
				switch row.scope {
				case "403":
					refused(ask(inScope))
				case "allowed":
					arrives(ask(elsewhere))
				default:
					arrives(ask(inScope))
					refused(ask(elsewhere))
				}
			})
		}
	}
}
