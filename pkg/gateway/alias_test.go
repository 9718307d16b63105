package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/alias"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/token"
	"github.com/hostless/hostless/test/standin"
)

// withAliases sets the aliases of a world, each as name=target,target.
func (w *world) withAliases(all ...string) {
	w.t.Helper()
	m := map[string][]string{}
	for _, one := range all {
		name, targets, _ := strings.Cut(one, "=")
		m[name] = strings.Split(targets, ",")
	}
	table, problems := alias.New(m, nil)
	if problems != nil {
		w.t.Fatal(problems)
	}
	w.settings.Aliases = table
}

// aliasWorld returns a world with strict stand-ins for three dialects.
func aliasWorld(t *testing.T, change ...func(*gateway.Config)) (w *world, byProvider map[string]*standin.Server) {
	w = newWorld(t, change...)
	byProvider = map[string]*standin.Server{
		"openai": standin.OpenAI(t, canary), "anthropic": standin.Anthropic(t, canary), "google": standin.Gemini(t, canary), "groq": standin.Chat(t, canary),
	}
	for name, s := range byProvider {
		path := "/v1"
		if name == "google" {
			path = "/v1beta"
		}
		w.keys.put(name, s.URL+path)
	}
	return w, byProvider
}

// TestAliasDialects checks that an alias can be used in every dialect, that its fallbacks
// work from each, and that the bytes of a native call are unchanged.
func TestAliasDialects(t *testing.T) {
	w, at := aliasWorld(t)
	w.withAliases("fast=openai/err-503,groq/err-429,claude-haiku-4-5", "mini=gpt-4o-mini", "flash=gemini-2.5-flash", "haiku=claude-haiku-4-5", "claude-haiku-9*=claude-haiku-4-5", "emb=text-embedding-3-small")
	ollama := `"messages":[{"role":"user","content":"ping"}],"stream":false`
	for _, tt := range []struct {
		path, body, attempts, model string
	}{
		{"/v1/chat/completions", `{"model":"fast","messages":[{"role":"user","content":"ping"}]}`, "3", "claude-haiku-4-5"},
		{"/v1/chat/completions", `{"model":"fast","stream":true,"messages":[{"role":"user","content":"ping"}]}`, "3", "claude-haiku-4-5"},
		{"/v1/messages", `{"model":"fast","max_tokens":99,"messages":[{"role":"user","content":"ping"}]}`, "3", "claude-haiku-4-5"},
		{"/v1/messages", `{"model":"fast[1m]","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"ping"}]}`, "3", "claude-haiku-4-5"},
		{"/v1/messages/count_tokens", `{"model":"haiku","messages":[{"role":"user","content":"ping"}]}`, "", "claude-haiku-4-5"},
		{"/v1/messages", `{"model":"claude-haiku-9-20990101","max_tokens":99,"messages":[{"role":"user","content":"ping"}]}`, "", "claude-haiku-4-5"},
		{"/v1/responses", `{"model":"fast","input":"ping"}`, "4", "claude-haiku-4-5"}, // groq's base URL was tried with Responses first
		{"/v1/responses", `{"model":"mini","input":"ping"}`, "", "gpt-4o-mini"},
		{"/v1beta/models/fast:generateContent", `{"contents":[{"role":"user","parts":[{"text":"ping"}]}]}`, "3", "claude-haiku-4-5"},
		{"/v1beta/models/flash:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"ping"}]}]}`, "", "gemini-2.5-flash"},
		{"/v1beta/models/flash:countTokens", `{"generateContentRequest":{"model":"models/flash","contents":[{"role":"user","parts":[{"text":"ping"}]}]}}`, "", "gemini-2.5-flash"},
		{"/v1beta/models/mini:generateContent", `{"contents":[{"role":"user","parts":[{"text":"ping"}]}]}`, "", "gpt-4o-mini"},
		{"/api/chat", `{"model":"fast:latest",` + ollama + `}`, "3", "claude-haiku-4-5"},
		{"/api/generate", `{"model":"mini","prompt":"ping","stream":false}`, "", "gpt-4o-mini"},
		{"/v1/embeddings", `{"model":"emb","input":"ping"}`, "", "text-embedding-3-small"},
		{"/api/embed", `{"model":"emb","input":"ping"}`, "", "text-embedding-3-small"},
	} {
		a := w.do("POST", tt.path, tt.body)
		a.want(t, 200, "")
		if got := a.header.Get("X-Hostless-Attempts"); got != tt.attempts {
			t.Errorf("%s %s: x-hostless-attempts %q, want %q", tt.path, tt.body, got, tt.attempts)
		}
		if got := a.header.Get("X-Hostless-Model"); got != tt.model {
			t.Errorf("%s %s: x-hostless-model %q, want %q", tt.path, tt.body, got, tt.model)
		}
	}
	// Only the model is replaced.
	odd := "{ \"messages\" : [{\"role\":\"user\",\"content\":\"p\\u0069ng\"}],\n\t\"model\":\"mini\" , \"x\": 1e2}"
	w.do("POST", "/v1/chat/completions", strings.Replace(odd, `, "x": 1e2`, "", 1)).want(t, 200, "")
	if got, want := string(at["openai"].Last(t).Body), strings.Replace(strings.Replace(odd, "mini", "gpt-4o-mini", 1), `, "x": 1e2`, "", 1); got != want {
		t.Errorf("the provider got %q, want %q", got, want)
	}
	w.do("POST", "/v1beta/models/flash:countTokens", `{"generateContentRequest":{"model":"models/flash","contents":[]}}`)
	if got, want := string(at["google"].Last(t).Body), `{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":[]}}`; got != want {
		t.Errorf("the provider got %q, want %q", got, want)
	}
}

// TestAliasFallback checks which outcomes make the next target be tried.
func TestAliasFallback(t *testing.T) {
	seen := newRecorder()
	var now time.Time
	var mu sync.Mutex
	late := time.Duration(0)
	w := newWorld(t, func(c *gateway.Config) {
		c.Observers = []pipeline.Observer{seen}
		now = time.Now()
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now.Add(late) }
	})
	var first func(http.ResponseWriter, *http.Request)
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) { first(rw, r) })
	asked := 0
	w.upstream("groq", func(rw http.ResponseWriter, r *http.Request) {
		asked++
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"choices":[{"message":{"role":"assistant","content":"pong"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	})
	w.withAliases("fast=mistral/a,groq/b")
	fail := func(status int) func(http.ResponseWriter, *http.Request) {
		return func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(status) }
	}
	for _, tt := range []struct {
		name  string
		first func(http.ResponseWriter, *http.Request)
		moves bool
		kind  pipeline.ErrorKind // of the first attempt
	}{
		{"408", fail(408), true, pipeline.ProviderRejected}, {"429", fail(429), true, pipeline.ProviderRateLimited},
		{"500", fail(500), true, pipeline.ProviderError}, {"503", fail(503), true, pipeline.ProviderError}, {"529", fail(529), true, pipeline.ProviderError},
		{"401", fail(401), true, pipeline.ProviderUnauthorized}, {"402", fail(402), true, pipeline.ProviderUnauthorized},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, pipeline.ProviderUnreachable},
		{"400", fail(400), false, pipeline.ProviderRejected}, {"404", fail(404), false, pipeline.ProviderRejected}, {"422", fail(422), false, pipeline.ProviderRejected},
		{"a stream that broke", func(rw http.ResponseWriter, r *http.Request) {
			events(rw)(`data: {"choices":[{"index":0,"delta":{"content":"po"}}]}` + "\n\n")
			panic(http.ErrAbortHandler)
		}, false, pipeline.ProviderIncomplete},
		{"too late", func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			late += 2 * time.Minute
			mu.Unlock()
			rw.WriteHeader(503)
		}, false, pipeline.ProviderError},
	} {
		first, asked = tt.first, 0
		a := w.do("POST", "/v1/chat/completions", `{"model":"fast","stream":true,"messages":[{"role":"user","content":"ping"}]}`)
		if moved := asked == 1 && strings.Contains(a.body, "pong") && a.header.Get("X-Hostless-Attempts") == "2"; moved != tt.moves {
			t.Errorf("%s: moved on: %v; %d %s", tt.name, moved, a.status, a.body)
		}
		call, o := seen.last(t)
		if call.Model != "fast" || o.Attempts[0].Provider != "mistral" || o.Attempts[0].Model != "a" || o.Attempts[0].Kind != tt.kind {
			t.Errorf("%s: call for %q, attempts %+v", tt.name, call.Model, o.Attempts)
		}
		if tt.moves && (len(o.Attempts) != 2 || o.Attempts[1].Provider != "groq" || o.Failed() || o.Candidate.Model != "b") {
			t.Errorf("%s: outcome %+v", tt.name, o)
		}
	}
	// The caller gets the last target's response, with the number of attempts.
	w.withAliases("fast=mistral/a,mistral/b")
	first = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	if a := w.do("POST", "/v1/messages", `{"model":"fast","max_tokens":9,"messages":[{"role":"user","content":"ping"}]}`); a.status != 502 || a.header.Get("X-Hostless-Attempts") != "2" {
		t.Errorf("got %d, %v", a.status, a.header)
	}
}

// TestAliasScope checks that a token can use only the targets in its scope, and that a
// target without a key is skipped.
func TestAliasScope(t *testing.T) {
	w, _ := aliasWorld(t)
	w.withAliases("fast=mistral/none,claude-haiku-4-5,gpt-4o-mini", "gpt-5=gpt-5-secret", "gone=mistral/none", "only=claude-haiku-4-5", "flash=gemini-2.5-flash")
	scoped := func(providers, models []string) string {
		return "Bearer " + w.mint(token.Request{Scope: token.Scope{Providers: providers, Models: models}})
	}
	ask := func(model, auth string) answer {
		return w.do("POST", "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"ping"}]}`, "Authorization", auth)
	}
	for _, tt := range []struct {
		model, auth string
		status      int
		text        string
	}{
		{"fast", "Bearer " + w.token, 200, "claude-haiku-4-5"},
		{"fast", scoped([]string{"openai"}, nil), 200, "gpt-4o-mini"},
		{"fast", scoped(nil, []string{"gpt-4o-*"}), 200, "gpt-4o-mini"},
		{"fast", scoped(nil, []string{"fast"}), 403, "scope_error"},
		{"fast", scoped([]string{"groq"}, nil), 403, "model_not_allowed"},
		{"only", scoped([]string{"groq"}, nil), 403, "provider_not_allowed"},
		{"gpt-5", scoped(nil, []string{"gpt-5"}), 403, "gpt-5-secret"}, // the alias hides the model with its name
		{"gone", "Bearer " + w.token, 400, "hostless keys add mistral"},
	} {
		ask(tt.model, tt.auth).want(t, tt.status, tt.text)
	}
	w.do("POST", "/v1beta/models/flash:generateContent", `{"contents":[{"role":"user","parts":[{"text":"ping"}]}]}`, "Authorization", scoped(nil, []string{"gemini-2.5-flash"})).want(t, 200, "ping")
	w.do("POST", "/v1beta/models/flash:generateContent", `{"contents":[]}`, "Authorization", scoped(nil, []string{"flash"})).want(t, 403, "")
	// A further model in the body is never an alias: the provider reads the name as it is.
	w.withAliases("gpt-4o=gpt-4o-mini", "mine=gpt-4o-mini")
	nested := `{"model":"mine","input":"x","tools":[{"type":"image_generation","model":"gpt-4o"}]}`
	w.do("POST", "/v1/responses", nested, "Authorization", scoped(nil, []string{"gpt-4o-mini"})).want(t, 403, "model_not_allowed")

}

// TestAliasLists checks that an alias is listed in each dialect, if it can be used.
func TestAliasLists(t *testing.T) {
	w, _ := aliasWorld(t)
	w.withAliases("fast=mistral/none,claude-haiku-4-5,gpt-4o-mini", "gone=mistral/none", "claude-x*=claude-haiku-4-5", "gpt-5=gpt-4o-mini")
	groq := "Bearer " + w.mint(token.Request{Scope: token.Scope{Providers: []string{"groq"}}})
	for _, tt := range []struct{ path, name, list string }{
		{"/v1/models", "id", "data"}, {"/v1beta/models", "name", "models"}, {"/api/tags", "name", "models"},
	} {
		names := func(headers ...string) (out []string) {
			var doc map[string]json.RawMessage
			var list []map[string]any
			if json.Unmarshal([]byte(w.do("GET", tt.path, "", headers...).body), &doc) != nil || json.Unmarshal(doc[tt.list], &list) != nil {
				t.Fatalf("%s gave no list", tt.path)
			}
			for _, m := range list {
				out = append(out, strings.TrimPrefix(m[tt.name].(string), "models/"))
			}
			return out
		}
		all := names()
		count := func(name string) (n int) {
			for _, one := range all {
				if strings.TrimSuffix(one, ":latest") == name {
					n++
				}
			}
			return n
		}
		if count("fast") != 1 || count("gone") != 0 || count("claude-x*") != 0 || count("gpt-5") > 1 {
			t.Errorf("%s lists %q", tt.path, all)
		}
		if tt.path != "/api/tags" && slices.Contains(names("Authorization", groq), "fast") {
			t.Errorf("%s lists what the token may not use", tt.path)
		}
	}
	w.do("GET", "/v1/models/fast", "").want(t, 200, `"id":"fast"`)
	w.do("GET", "/v1/models/claude-x9", "").want(t, 200, `"owned_by":"hostless"`)
	w.do("GET", "/v1/models/fast", "", "Anthropic-Version", "2023-06-01").want(t, 200, `"type":"model"`)
	w.do("GET", "/v1/models/gone", "").want(t, 404, "model_not_found")
	w.do("POST", "/api/show", `{"model":"fast"}`).want(t, 200, "capabilities")
}

// TestAliasSockets uses an alias on WebSockets, in the query and in messages.
func TestAliasSockets(t *testing.T) {
	w, at := aliasWorld(t)
	w.withAliases("fast=claude-haiku-4-5,gpt-4o-mini", "mini=gpt-4o-mini", "voice=gpt-4o-realtime-preview")
	for _, tt := range []struct{ path, message, provider, model string }{
		{"/v1/responses?model=mini", `{"type":"response.create","input":"ping"}`, "openai", ""},
		{"/v1/responses", `{"type":"response.create","model":"mini","input":"ping"}`, "openai", "gpt-4o-mini"},
		{"/v1/responses", `{"type":"response.create","model":"fast","input":"ping"}`, "anthropic", "claude-haiku-4-5"},
		{"/v1/responses?model=fast", `{"type":"response.create","input":"ping"}`, "anthropic", "claude-haiku-4-5"},
		{"/v1/realtime?model=voice", `{"type":"echo of response.done"}`, "openai", ""},
	} {
		c, resp, err := w.dial(tt.path)
		if err != nil {
			t.Errorf("%s: %v %v", tt.path, err, resp)
			continue
		}
		send(t, c, tt.message)
		for i := 0; ; i++ {
			m := receive(t, c)
			if strings.Contains(m, `"error"`) && !strings.Contains(m, `"error":null`) || i > 50 {
				t.Errorf("%s: %s", tt.path, m)
				break
			}
			if strings.Contains(m, "response.completed") || strings.Contains(m, "response.done") {
				break
			}
		}
		c.Close()
		last := at[tt.provider].Last(t)
		if tt.model != "" && !strings.Contains(string(last.Body), `"model":"`+tt.model+`"`) || strings.Contains(last.Query, "mini") && !strings.Contains(last.Query, "gpt-4o-mini") {
			t.Errorf("%s: the provider got %s?%s %s", tt.path, last.Path, last.Query, last.Body)
		}
	}
}
