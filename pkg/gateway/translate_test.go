package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// chatOnly is a provider that has chat completions only.
func chatOnly(t *testing.T) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/chat/completions" {
			http.NotFound(rw, r)
			return
		}
		var req struct {
			Stream   bool
			Model    string
			Messages []struct{ Role, Content string }
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || len(req.Messages) == 0 {
			t.Errorf("the upstream cannot read its request: %v", err)
		}
		if req.Messages[len(req.Messages)-1].Content == "fail" {
			rw.WriteHeader(529)
			io.WriteString(rw, `{"error":{"message":"overloaded","type":"x"}}`)
			return
		}
		if !req.Stream {
			io.WriteString(rw, `{"id":"c","model":"`+req.Model+`","choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}`)
			return
		}
		send := events(rw)
		send(`data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"po"}}]}` + "\n\n")
		send(`data: {"id":"c","choices":[{"index":0,"delta":{"content":"ng"}}]}` + "\n\n")
		if strings.Contains(req.Messages[len(req.Messages)-1].Content, "die") {
			panic(http.ErrAbortHandler)
		}
		send(`data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n")
		send(`data: {"id":"c","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}` + "\n\n")
		send("data: [DONE]\n\n")
	}
}

func TestResponsesOnAChatProvider(t *testing.T) {
	w := newWorld(t)
	w.upstream("mistral", chatOnly(t))
	w.upstream("mine", chatOnly(t))
	for _, model := range []string{"mistral/m", "mine/m", "mine/m", "echo/text"} {
		a := w.do("POST", "/v1/responses", `{"model":"`+model+`","input":"pong"}`)
		if a.status != 200 || !strings.Contains(a.body, `"object":"response"`) || !strings.Contains(a.body, "pong") {
			t.Errorf("%s: %d %s", model, a.status, a.body)
		}
		a = w.do("POST", "/v1/responses", `{"model":"`+model+`","input":"pong","stream":true}`)
		if !strings.Contains(a.body, "event: response.completed\n") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
			t.Errorf("%s: %v %s", model, a.header, a.body)
		}
	}
	a := w.do("POST", "/v1/responses", `{"model":"mistral/m","input":"die","stream":true}`)
	if strings.Contains(a.body, "response.completed") || !strings.Contains(a.body, "closed the connection before the response was complete") {
		t.Errorf("a broken stream: %s", a.body)
	}
	a = w.do("POST", "/v1/responses", `{"model":"mistral/m","input":"fail"}`)
	if a.want(t, 529, "overloaded"); a.header.Get("X-Hostless-Error") != "upstream" {
		t.Errorf("headers %v", a.header)
	}
	for _, u := range w.gw.Usage() {
		if u.Provider == "mistral" && (u.InputTokens != 4 || u.OutputTokens != 6 || u.Errors != 1) {
			t.Errorf("usage %+v", u)
		}
	}
}

// TestRevokedTokenInEveryDialect checks that a revoked token is not reported as an error of
// the provider.
func TestRevokedTokenInEveryDialect(t *testing.T) {
	w := newWorld(t)
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		events(rw)(`data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"pong"}}]}` + "\n\n")
		<-r.Context().Done()
	})
	anthropicEvents := `event: message_start` + "\n" + `data: {"type":"message_start","message":{"id":"m","model":"c","usage":{}}}` + "\n\n" +
		`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"pong"}}` + "\n\n"
	w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		events(rw)(anthropicEvents)
		<-r.Context().Done()
	})
	turns := `"messages":[{"role":"user","content":"x"}]`
	for _, tt := range []struct{ path, body string }{
		{"/v1/messages", `{"model":"mistral/m","max_tokens":9,"stream":true,` + turns + `}`},
		{"/v1/responses", `{"model":"mistral/m","stream":true,"input":"x"}`},
		{"/v1beta/models/mistral/m:streamGenerateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`},
		{"/api/chat", `{"model":"mistral/m",` + turns + `}`},
		{"/v1/chat/completions", `{"model":"claude-x","stream":true,` + turns + `}`},
		{"/v1/responses", `{"model":"claude-x","stream":true,"input":"x"}`},
		{"/api/chat", `{"model":"claude-x",` + turns + `}`},
	} {
		bearer := w.mint(token.Request{})
		resp, err := noRedirects.Do(w.request("POST", tt.path, tt.body, "Authorization", "Bearer "+bearer))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		in := bufio.NewReader(resp.Body)
		for received := ""; !strings.HasSuffix(received, "pong"); {
			c, err := in.ReadByte()
			if err != nil {
				t.Fatalf("%s: %v after %s", tt.path, err, received)
			}
			received += string(c)
		}
		if err := w.tokens.Revoke(context.Background(), secret.New(bearer)); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(in)
		if err != nil || !strings.Contains(string(rest), "the bridge token was revoked") {
			t.Errorf("%s: %v %s", tt.path, err, rest)
		}
	}
}

func TestPreviousResponseBelongsToItsToken(t *testing.T) {
	w := newWorld(t)
	w.upstream("mistral", chatOnly(t))
	a := w.do("POST", "/v1/responses", `{"model":"mistral/m","input":"one","store":true}`)
	var first struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &first); err != nil {
		t.Fatal(err)
	}
	next := `{"model":"mistral/m","input":"two","previous_response_id":"` + first.ID + `"}`
	w.do("POST", "/v1/responses", next).want(t, 200, "pong")
	w.do("POST", "/v1/responses", next, "Authorization", "Bearer "+w.mint(token.Request{})).want(t, 400, "previous_response_id")
}

func TestNativeResponsesPass(t *testing.T) {
	w := newWorld(t)
	stream := "event: response.created\ndata: {\"type\":\"response.created\",\"x\":1}\n\nevent: response.new_thing\ndata: {\"type\":\"response.new_thing\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":8,\"output_tokens\":9}}}\n\n"
	var saw string
	for _, name := range []string{"openai", "mine"} {
		w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			saw = r.URL.Path + string(b)
			events(rw)(stream)
		})
		a := w.do("POST", "/v1/responses", `{"model":"`+name+`/m","stream":true,"input":[]}`)
		if a.body != stream || saw != `/v1/responses{"model":"m","stream":true,"input":[]}` {
			t.Errorf("%s: got %s; upstream saw %s", name, a.body, saw)
		}
	}
	if u := w.gw.Usage(); u[0].InputTokens != 8 || u[1].OutputTokens != 9 {
		t.Errorf("usage %+v", u)
	}
}

func TestAnthropicNativeAndFromChat(t *testing.T) {
	w := newWorld(t)
	var saw, path string
	var header http.Header
	stream := "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"pong\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		saw, path, header = string(b), r.URL.String(), r.Header
		switch {
		case strings.Contains(saw, "die"):
			events(rw)(stream[:200])
			panic(http.ErrAbortHandler)
		case strings.Contains(saw, `"stream":true`):
			events(rw)(stream)
		default:
			rw.Header().Set("Content-Type", "application/json")
			io.WriteString(rw, `{"id":"m","type":"message","role":"assistant","model":"claude-opus-4-5","content":[{"type":"text","text":"pong"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":5}}`)
		}
	})
	body := `{"model":"claude-opus-4-5","max_tokens":5,"stream":true,"messages":[],"new_field":{"a":1.0}}`
	for _, p := range []string{"/v1/messages?beta=true", "/messages?beta=true", "/v1/v1/messages?beta=true"} {
		a := w.do("POST", p, body, "Authorization", "", "x-api-key", w.token, "anthropic-beta", "x,y", "anthropic-version", "2023-01-01")
		if a.body != stream || saw != body || path != "/v1/messages?beta=true" {
			t.Errorf("%s: %s\nupstream saw %s %s", p, a.body, path, saw)
		}
		if header.Get("X-Api-Key") != canary || header.Get("Authorization") != "" || header.Get("Anthropic-Beta") != "x,y" || header.Get("Anthropic-Version") != "2023-01-01" {
			t.Errorf("headers %v", header)
		}
	}
	if u := w.gw.Usage()[0]; u.InputTokens != 21 || u.OutputTokens != 15 {
		t.Errorf("usage %+v", u)
	}
	a := w.do("POST", "/v1/messages", `{"model":"claude-x","stream":true,"x":"die"}`)
	if !strings.Contains(a.body, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"") || strings.Contains(a.body, "message_stop") {
		t.Errorf("a broken stream: %s", a.body)
	}
	w.do("POST", "/v1/messages/count_tokens", `{"model":"claude-x","messages":[]}`).want(t, 200, "")
	if path != "/v1/messages/count_tokens" {
		t.Errorf("count went to %s", path)
	}
	w.do("GET", "/v1/messages/batches/b/results", "")
	if path != "/v1/messages/batches/b/results" {
		t.Errorf("batches went to %s", path)
	}
	w.do("POST", "/v1/chat/completions", `{"model":"claude-opus-4-5","messages":[{"role":"user","content":"ping"}]}`).want(t, 200, `"content":"pong"`)
	if path != "/v1/messages" || header.Get("Anthropic-Version") != "2023-06-01" {
		t.Errorf("chat went to %s with %v", path, header)
	}
	a = w.do("POST", "/v1/chat/completions", `{"model":"claude-opus-4-5","stream":true,"messages":[{"role":"user","content":"ping"}]}`)
	if !strings.Contains(a.body, `"pong"`) || !strings.HasSuffix(a.body, "data: [DONE]\n\n") || strings.Contains(a.body, "usage") {
		t.Errorf("got %s", a.body)
	}
	a = w.do("POST", "/v1/chat/completions", `{"model":"claude-opus-4-5","stream":true,"messages":[{"role":"user","content":"die"}]}`)
	if !strings.Contains(a.body, `data: {"error":{`) || strings.Contains(a.body, "[DONE]") {
		t.Errorf("a broken stream: %s", a.body)
	}
	w.do("POST", "/v1/responses", `{"model":"claude-opus-4-5","input":"ping"}`).want(t, 200, `"text":"pong"`)
	a = w.do("POST", "/v1/chat/completions", `{"model":"claude-opus-4-5","n":2,"messages":[{"role":"user","content":"x"}]}`)
	if a.want(t, 400, `"param":"n"`); a.header.Get("X-Hostless-Error") != "local" {
		t.Errorf("headers %v", a.header)
	}
	a = w.do("POST", "/v1/chat/completions", `{"model":"claude-opus-4-5","seed":2,"messages":[{"role":"user","content":"x"}]}`)
	if a.want(t, 200, "pong"); a.header.Get("X-Hostless-Ignored") != "seed" {
		t.Errorf("headers %v", a.header)
	}
	w.do("POST", "/v1/embeddings", `{"model":"anthropic/x"}`).want(t, 400, "unsupported_endpoint")
}

func TestAnthropicFiles(t *testing.T) {
	w := newWorld(t)
	w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, r.URL.Path+r.Header.Get("X-Api-Key")[:3])
	})
	w.do("GET", "/v1/files/f1/content", "", "anthropic-version", "2023-06-01", "anthropic-beta", "files-api-2025-04-14").want(t, 200, "/v1/files/f1/contentsk-")
	w.do("GET", "/v1/skills", "", "anthropic-version", "2023-06-01").want(t, 200, "/v1/skills")
	w.do("GET", "/v1/files", "", "X-Hostless-Provider", "anthropic").want(t, 400, "unsupported_endpoint")
	w.do("GET", "/v1/files", "", "X-Hostless-Provider", "nobody").want(t, 400, "x-hostless-provider")
}

func TestShortKeysAreTakenOutToo(t *testing.T) {
	w := newWorld(t)
	for key, want := range map[string]string{"sk-up1": "saw [redacted]", "abc": "saw abc"} {
		w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
			io.WriteString(rw, "saw "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		})
		cred := w.keys.creds["openai"]
		cred.Key = secret.New(key)
		w.keys.putCred("openai", cred)
		if a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`); a.body != want {
			t.Errorf("key %q: %q, want %q", key, a.body, want)
		}
	}
}

// TestEscapedKeyIsNotTranslated checks a key with JSON escapes, which a translation would
// decode.
func TestEscapedKeyIsNotTranslated(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		escaped := strings.ReplaceAll(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "s", `\u0073`)
		body, _ := io.ReadAll(r.Body)
		switch text := string(body); {
		case r.URL.Path == "/v1/models":
			io.WriteString(rw, `{"data":[{"id":"gpt-`+escaped+`"}]}`)
		case strings.Contains(text, "err"):
			rw.WriteHeader(401)
			io.WriteString(rw, `{"error":{"message":"bad key `+escaped+`","type":"x"}}`)
		case strings.Contains(text, `"stream":true`):
			rw.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(rw, `data: {"choices":[{"index":0,"delta":{"content":"saw `+escaped+`"}}]}`+"\n\ndata: [DONE]\n\n")
		default:
			io.WriteString(rw, `{"choices":[{"message":{"content":"saw `+escaped+`"},"finish_reason":"stop"}]}`)
		}
	})
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, content := range []string{`"err"`, `"ok"`, `"ok"}],"stream":true,"x":[{"y":1`} {
			a := w.do("POST", path, `{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":`+content+`}]}`)
			if !strings.Contains(a.body, "[redacted]") || strings.Contains(a.body, canary) || strings.Contains(a.body, `\u0073`) {
				t.Errorf("%s %s: %d %s", path, content, a.status, a.body)
			}
		}
	}
	if a := w.do("GET", "/v1/models", ""); !strings.Contains(a.body, "gpt-[redacted]") || strings.Contains(a.body, canary) {
		t.Errorf("models: %s", a.body)
	}
}

// TestErrorThatCameAsASuccess checks OpenRouter's errors with status 200.
func TestErrorThatCameAsASuccess(t *testing.T) {
	w := newWorld(t)
	response := ""
	w.upstream("openrouter", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, response) })
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, response) })
	for _, tt := range []struct {
		response string
		want     int
		text     string
	}{
		{`{"error":{"message":"slow down","code":429}}`, 429, "rate_limit_error"},
		{`{"error":{"message":"slow down","code":"overloaded"}}`, 502, "slow down"},
		{`{"error":{"message":"slow down","code":200}}`, 502, "slow down"},
		{`{"error":null,"choices":[{"message":{"content":"pong"},"finish_reason":"stop"}]}`, 200, "pong"},
	} {
		response = tt.response
		a := w.do("POST", "/v1/messages", `{"model":"mistral/m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)
		if a.want(t, tt.want, tt.text); (a.header.Get("X-Hostless-Error") == "upstream") != (tt.want != 200) {
			t.Errorf("%s: headers %v", tt.response, a.header)
		}
		w.do("POST", "/api/chat", `{"model":"openrouter/m","stream":false,"messages":[{"role":"user","content":"x"}]}`).want(t, tt.want, strings.TrimSuffix(tt.text, "rate_limit_error"))
	}
}

// TestIgnoredNamesAreBounded checks the length of the names, which come from the caller.
func TestIgnoredNamesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"content":[{"type":"text","text":"pong"}],"stop_reason":"end_turn"}`)
	})
	long := strings.Repeat("z", 1<<20)
	a := w.do("POST", "/v1/chat/completions", `{"model":"claude-x","seed":1,"a\r\nX-Evil: 1":1,"é":1,"`+long+`":1,"messages":[{"role":"user","content":"x"}]}`)
	if got := a.header.Get("X-Hostless-Ignored"); a.status != 200 || got != "a??X-Evil: 1, seed, ..." || a.header.Get("X-Evil") != "" {
		t.Errorf("%d %.200q", a.status, got)
	}
}

// TestWholeAnswerToAStream checks that the caller gets events even if the provider does not
// support streams and sends a whole response.
func TestWholeAnswerToAStream(t *testing.T) {
	w := newWorld(t)
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"id":"c", "choices": [ {"index":0,"message":{"role":"assistant","content":"po\nng","tool_calls":[
			{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":1}"}}]},
			"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":2,"completion_tokens":3}}`)
	})
	turns := `"messages":[{"role":"user","content":"x"}]`
	for _, tt := range []struct{ path, body, kind, end string }{
		{"/v1/messages", `{"model":"mistral/m","max_tokens":9,"stream":true,` + turns + `}`, "text/event-stream", "event: message_stop\n"},
		{"/v1/responses", `{"model":"mistral/m","stream":true,"input":"x"}`, "text/event-stream", "event: response.completed\n"},
		{"/v1beta/models/mistral/m:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"x"}]}]}`, "text/event-stream", `"finishReason":"STOP"`},
		{"/api/chat", `{"model":"mistral/m",` + turns + `}`, "application/x-ndjson", `"done":true`},
	} {
		a := w.do("POST", tt.path, tt.body)
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), tt.kind) || !strings.Contains(a.body, tt.end) ||
			!strings.Contains(a.body, `po\nng`) || !strings.Contains(a.body, `"f"`) || !strings.Contains(a.body, `"g"`) {
			t.Errorf("%s: %d %v\n%s", tt.path, a.status, a.header, a.body)
		}
	}
	if u := w.gw.Usage()[0]; u.Requests != 4 || u.InputTokens != 8 || u.OutputTokens != 12 {
		t.Errorf("usage %+v", u)
	}
}

// TestItemReference checks that an item of a response can be referred to with the same
// token, unless the response was not to be stored.
func TestItemReference(t *testing.T) {
	w := newWorld(t)
	ask := func(store string) string {
		a := w.do("POST", "/v1/responses", `{"model":"echo/text","input":"hello"`+store+`}`)
		a.want(t, 200, `"text":"hello"`)
		var answer struct {
			Output []struct{ ID string }
		}
		json.Unmarshal([]byte(a.body), &answer)
		return `{"model":"echo/text","input":[{"type":"item_reference","id":"` + answer.Output[0].ID + `"},{"role":"user","content":"and"}]}`
	}
	kept := ask("")
	w.do("POST", "/v1/responses", kept).want(t, 200, `"text":"and"`)
	w.do("POST", "/v1/responses", kept, "Authorization", "Bearer "+w.mint(token.Request{Name: "other"})).want(t, 400, "is unknown")
	w.do("POST", "/v1/responses", ask(`,"store":false`)).want(t, 400, "is unknown")
}

// TestModelAsAPath checks a client that uses a model with a slash as a path: the request
// goes to the provider that the model names.
func TestModelAsAPath(t *testing.T) {
	w := newWorld(t)
	var saw, body string
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		saw, body = r.URL.Path, string(data)
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"choices":[{"message":{"content":"pong"},"finish_reason":"stop"}]}`)
	})
	w.do("POST", "/v1beta/mine/some/model:generateContent", `{"contents":[{"parts":[{"text":"ping"}]}]}`).want(t, 200, `"text":"pong"`)
	if !strings.HasSuffix(saw, "/chat/completions") || !strings.Contains(body, `"model":"some/model"`) {
		t.Errorf("the provider saw %s %s", saw, body)
	}
	w.do("POST", "/v1beta/openai/gpt-x:countTokens", `{"contents":[{"parts":[{"text":"ping"}]}]}`).want(t, 400, "hostless keys add openai")
}

// TestRequestID checks that a translated response has the provider's request ID in the
// header in which the caller's SDK looks for it.
func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for provider, name := range map[string]string{"anthropic": "Request-Id", "mine": "X-Request-Id"} {
		w.upstream(provider, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set(name, "req_1")
			http.Error(rw, `{"error":{"message":"no","type":"invalid_request_error"}}`, 400)
		})
	}
	body := `"max_tokens":9,"messages":[{"role":"user","content":"ping"}]}`
	for path, header := range map[string]string{"/v1/chat/completions": "X-Request-Id", "/v1/messages": "Request-Id"} {
		for _, model := range []string{"anthropic/m", "mine/m"} {
			a := w.do("POST", path, `{"model":"`+model+`",`+body)
			if got := a.header.Get(header); a.status != 400 || got != "req_1" {
				t.Errorf("%s on %s: %d, %s %q", path, model, a.status, header, got)
			}
		}
	}
}

// TestRemoteFilesHaveATotal checks that the files of a request are limited together, not
// one by one.
func TestRemoteFilesHaveATotal(t *testing.T) {
	const size = 1 << 20
	files := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "image/png")
		rw.Header().Set("Content-Length", fmt.Sprint(size))
		rw.Write(make([]byte, size))
	}))
	defer files.Close()
	roots := x509.NewCertPool()
	roots.AddCert(files.Certificate())
	w := newWorld(t, func(c *gateway.Config) {
		c.TLS = &tls.Config{RootCAs: roots}
		c.Resolve = func(context.Context, string) ([]net.IPAddr, error) {
			return []net.IPAddr{{IP: net.IPv4(93, 184, 215, 14)}}, nil
		}
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "93.") {
				address = files.Listener.Addr().String()
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	asked := 0
	w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
		asked++
		geminiOnly(t)(rw, r)
	})
	ask := func(n int) answer {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`{"type":"image_url","image_url":{"url":"https://example.com/%d.png"}}`, i))
		}
		return w.do("POST", "/v1/chat/completions", `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":[`+strings.Join(parts, ",")+`]}]}`)
	}
	ask(3).want(t, 200, "pong")
	ask(70).want(t, 413, "more than 64 MiB of files")
	if asked != 1 {
		t.Errorf("the provider was asked %d times, want once", asked)
	}
}
