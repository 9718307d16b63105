package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/test/standin"
)

// websearch is Claude Code's WebSearch, which is a separate request.
const websearch = `"max_tokens":2000,"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":8,"user_location":{"type":"approximate","city":"Brest","country":"FR"}}],"tool_choice":{"type":"tool","name":"web_search"},"messages":[{"role":"user","content":"Perform a web search for the query: tides at Brest"}]`

// TestWebSearch checks that a web search is made by any provider, and that the response has
// the model's query, the results and the citations in the client's dialect.
func TestWebSearch(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	google := w.google()
	const found = standin.SearchURL
	for _, c := range []struct {
		name, path, body string
		want             []string
	}{
		{"Messages on Gemini", "/v1/messages", `{"model":"gemini-2.5-flash",` + websearch + `}`, []string{
			`{"type":"server_tool_use","id":"srvtoolu_`, `"input":{"query":"` + standin.SearchQuery + `"}`, `{"type":"web_search_tool_result","tool_use_id":"srvtoolu_`,
			`{"type":"web_search_result","url":"` + found + `","title":"` + standin.SearchTitle + `"`, `{"type":"text","text":"You","citations":[{"type":"web_search_result_location","url":"` + found,
			`"server_tool_use":{"web_search_requests":1}`,
		}},
		{"Messages on Gemini, streamed", "/v1/messages", `{"model":"gemini-2.5-flash","stream":true,` + websearch + `}`, []string{
			`"content_block":{"type":"server_tool_use","id":"srvtoolu_`, `"partial_json":"{\"query\":\"` + standin.SearchQuery + `\"}"`, `"content_block":{"type":"web_search_tool_result"`,
			`"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"` + found, `"server_tool_use":{"web_search_requests":1}`,
		}},
		{"Messages on OpenAI", "/v1/messages", `{"model":"gpt-5",` + websearch + `}`, []string{
			`"input":{"query":"` + standin.SearchQuery + `"}`, `{"type":"web_search_result","url":"` + found + `","title":"` + standin.SearchTitle + `"`,
			`{"type":"text","text":"You","citations":[{"type":"web_search_result_location","url":"` + found, `"server_tool_use":{"web_search_requests":1}`,
		}},
		{"Messages on OpenAI, streamed", "/v1/messages", `{"model":"gpt-4o-mini","stream":true,` + websearch + `}`, []string{
			`"content_block":{"type":"server_tool_use","id":"srvtoolu_`, `"content_block":{"type":"web_search_tool_result"`, `"url":"` + found,
			`"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"` + found, `"server_tool_use":{"web_search_requests":1}`,
		}},
		{"Gemini on OpenAI", "/v1beta/models/gpt-5:generateContent", `{"contents":[{"role":"user","parts":[{"text":"tides"}]}],"tools":[{"google_search":{}}]}`, []string{
			`"webSearchQueries":["` + standin.SearchQuery + `"]`, `"groundingChunks":[{"web":{"uri":"` + found,
		}},
		{"Gemini's reading of pages on OpenAI, streamed", "/v1beta/models/gpt-5:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"tides"}]}],"tools":[{"urlContext":{}}]}`, []string{`"webSearchQueries":["` + standin.SearchQuery + `"]`}},
		{"chat on OpenAI", "/v1/chat/completions", `{"model":"gpt-5","web_search_options":{},"messages":[{"role":"user","content":"tides"}]}`, []string{`"url":"` + found}},
		{"chat on a search model of OpenAI's", "/v1/chat/completions", `{"model":"gpt-4o-search-preview","web_search_options":{},"messages":[{"role":"user","content":"tides"}]}`, []string{`You said`}},
		{"Gemini on a search model of OpenAI's", "/v1beta/models/gpt-4o-search-preview:generateContent", `{"contents":[{"role":"user","parts":[{"text":"tides"}]}],"tools":[{"googleSearch":{}}]}`, []string{`You said`}},
		{"chat on Gemini", "/v1/chat/completions", `{"model":"gemini-2.5-flash","web_search_options":{},"messages":[{"role":"user","content":"tides"}]}`, []string{
			`"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":3,"url":"` + found,
		}},
		{"chat on Gemini, streamed", "/v1/chat/completions", `{"model":"gemini-2.5-flash","stream":true,"web_search_options":{},"messages":[{"role":"user","content":"tides"}]}`, []string{
			`"delta":{"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":3,"url":"` + found,
		}},
		{"chat on Anthropic", "/v1/chat/completions", `{"model":"claude-sonnet-4-5","web_search_options":{"search_context_size":"medium","user_location":{"type":"approximate","approximate":{"city":"Brest"}}},"messages":[{"role":"user","content":"tides"}]}`, []string{
			`"annotations":[{"type":"url_citation","url_citation":{"url":"` + found, `"server_tool_use":{"web_search_requests":1}`,
		}},
		{"chat on Anthropic, streamed", "/v1/chat/completions", `{"model":"claude-sonnet-4-5","stream":true,"web_search_options":{},"messages":[{"role":"user","content":"tides"}]}`, []string{
			`"annotations":[{"type":"url_citation","url_citation":{"url":"` + found,
		}},
		{"Gemini on Anthropic", "/v1beta/models/claude-sonnet-4-5:generateContent", `{"contents":[{"role":"user","parts":[{"text":"tides"}]}],"tools":[{"googleSearch":{}},{"url_context":{}}]}`, []string{
			`"webSearchQueries":["` + standin.SearchQuery + `"]`, `"groundingChunks":[{"web":{"uri":"` + found, `"groundingChunkIndices":[0]`,
		}},
		{"Gemini on Anthropic, streamed", "/v1beta/models/claude-sonnet-4-5:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"tides"}]}],"tools":[{"googleSearch":{}}]}`, []string{
			`"webSearchQueries":["` + standin.SearchQuery + `"]`, `"groundingChunks":[{"web":{"uri":"` + found, `"groundingSupports":[{"segment":{"startIndex":0,`,
		}},
		{"Responses on Anthropic", "/v1/responses", `{"model":"claude-sonnet-4-5","input":"tides","tools":[{"type":"web_search","filters":{"allowed_domains":["tides.example"]}}],"include":["web_search_call.action.sources"]}`, []string{
			`"type":"web_search_call","status":"completed","action":{"type":"search","query":"` + standin.SearchQuery + `","sources":[{"type":"url","url":"` + found, `"annotations":[{"type":"url_citation","start_index":0,`,
		}},
		{"Responses on Anthropic, demanded beside a function", "/v1/responses", `{"model":"claude-sonnet-4-5","input":"tides","tools":[{"type":"web_search_preview"}],"tool_choice":{"type":"web_search_preview"}}`, []string{`"type":"web_search_call"`}},
		{"Responses on Gemini", "/v1/responses", `{"model":"gemini-2.5-flash","input":"tides","tools":[{"type":"web_search"}]}`, []string{
			`"type":"web_search_call","status":"completed"`, `"annotations":[{"type":"url_citation","start_index":0,"end_index":3,"url":"` + found,
		}},
		{"Responses on Gemini, streamed", "/v1/responses", `{"model":"gemini-2.5-flash","stream":true,"input":"tides","tools":[{"type":"web_search"}]}`, []string{
			`"type":"response.web_search_call.completed"`, `"type":"response.output_text.annotation.added"`, `"query":"` + standin.SearchQuery + `"`,
		}},
	} {
		a := w.do("POST", c.path, c.body)
		if a.status != 200 {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s: no %s in\n%s", c.name, want, a.body)
			}
		}
	}
	w.survive([]session{{"OpenAI beside a function", "/v1/messages", `{"model":"gpt-5","max_tokens":50,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"web_search"}]}`, ""}})
	if last := string(google.Last(t).Body); !strings.Contains(last, `"tools":[{"googleSearch":{}}]`) {
		t.Errorf("Gemini was asked %s", last)
	}
}

// TestWebSearchLeftOut checks that a web search among the caller's own tools is dropped and
// named if the provider does not support it, and refused if it is required.
func TestWebSearchLeftOut(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	const messages = `"max_tokens":50,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}},{"type":"web_search_20250305","name":"web_search"}]`
	const functions = `{"type":"function","name":"f","parameters":{"type":"object","properties":{}}},{"type":"web_search"}`
	w.survive([]session{
		{"Messages on DeepSeek", "/v1/messages", `{"model":"deepseek/deepseek-chat",` + messages + `}`, "tools.web_search"},
		{"Messages on Gemini", "/v1/messages", `{"model":"gemini-2.5-flash",` + messages + `}`, "tools.web_search"},
		{"Responses on Gemini", "/v1/responses", `{"model":"gemini-2.5-flash","input":"x","tools":[` + functions + `]}`, "tools.web_search"},
		{"Responses on DeepSeek", "/v1/responses", `{"model":"deepseek/deepseek-chat","input":"x","tools":[` + functions + `]}`, "tools.web_search"},
		{"Gemini on DeepSeek", "/v1beta/models/deepseek/deepseek-chat:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}],"tools":[{"googleSearch":{},"functionDeclarations":[{"name":"f"}]}]}`, "tools.googleSearch"},
	})
	for _, c := range []struct{ name, path, body string }{
		{"tools.web_search", "/v1/messages", `{"model":"deepseek/deepseek-chat",` + websearch + `}`},
		{"tools.web_search", "/v1/responses", `{"model":"deepseek/deepseek-chat","input":"x","tools":[` + functions + `],"tool_choice":{"type":"web_search"}}`},
		{"tools.googleSearch", "/v1beta/models/deepseek/deepseek-chat:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}],"tools":[{"googleSearch":{}}]}`},
		{"tools.urlContext", "/v1beta/models/deepseek/deepseek-chat:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]}],"tools":[{"urlContext":{}}]}`},
	} {
		if a := w.do("POST", c.path, c.body); a.status != 400 || !strings.Contains(a.body, c.name+" asks for ") {
			t.Errorf("%s demanded: %d %s", c.name, a.status, a.body)
		}
	}
}

// TestWebSearchByPlugin checks the web search plugin of OpenRouter.
func TestWebSearchByPlugin(t *testing.T) {
	w := newWorld(t)
	var got map[string]any
	w.upstream("openrouter", func(rw http.ResponseWriter, r *http.Request) {
		got = nil
		json.NewDecoder(r.Body).Decode(&got)
		rw.Write([]byte(`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"At four.","annotations":[{"type":"url_citation","url_citation":{"url":"https://tides.example/brest","title":"Tides","start_index":0,"end_index":8}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`))
	})
	a := w.do("POST", "/v1beta/models/openrouter/a/b:generateContent", `{"contents":[{"role":"user","parts":[{"text":"tides"}]}],"tools":[{"googleSearch":{}}]}`)
	a.want(t, 200, `"groundingChunks":[{"web":{"uri":"https://tides.example/brest","title":"Tides"}}]`)
	if plugins, _ := json.Marshal(got["plugins"]); string(plugins) != `[{"id":"web"}]` || got["web_search_options"] != nil {
		t.Errorf("OpenRouter was asked %v", got)
	}
}

// TestSearchedHistory continues a session with Claude, whose search results are encrypted,
// after a search of another provider.
func TestSearchedHistory(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	for _, stream := range []string{`"stream":false`, `"stream":true`} {
		a := w.do("POST", "/v1/messages", `{"model":"gemini-2.5-flash",`+stream+`,`+websearch+`}`)
		turn := a.body
		if stream == `"stream":true` {
			turn = messageOf(t, a.body)
		}
		var m struct{ Content json.RawMessage }
		if err := json.Unmarshal([]byte(turn), &m); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		history := `"max_tokens":50,"messages":[{"role":"user","content":"tides"},{"role":"assistant","content":` + string(m.Content) + `},{"role":"user","content":"and tomorrow?"}]`
		w.survive([]session{
			{"on Claude " + stream, "/v1/messages", `{"model":"claude-sonnet-4-5",` + history + `}`, "server_tool_use web_search_tool_result citations"},
			{"on OpenAI " + stream, "/v1/messages", `{"model":"gpt-4o",` + history + `}`, ""},
			{"on Gemini " + stream, "/v1/messages", `{"model":"gemini-2.5-flash",` + history + `}`, ""},
		})
	}
}

// messageOf assembles a message from its events.
func messageOf(t *testing.T, stream string) string {
	t.Helper()
	var content []map[string]any
	for line := range strings.SplitSeq(stream, "\n") {
		var e struct {
			Type  string
			Block map[string]any `json:"content_block"`
			Delta map[string]any
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || json.Unmarshal([]byte(data), &e) != nil {
			continue
		}
		switch e.Type {
		case "content_block_start":
			content = append(content, e.Block)
		case "content_block_delta":
			last := content[len(content)-1]
			switch e.Delta["type"] {
			case "text_delta":
				last["text"] = last["text"].(string) + e.Delta["text"].(string)
			case "citations_delta":
				cited, _ := last["citations"].([]any)
				last["citations"] = append(cited, e.Delta["citation"])
			case "input_json_delta":
				last["json"], _ = last["json"].(string)
				last["json"] = last["json"].(string) + e.Delta["partial_json"].(string)
			}
		}
	}
	for _, block := range content {
		if text, ok := block["json"].(string); ok {
			delete(block, "json")
			block["input"] = json.RawMessage(text)
		}
	}
	out, err := json.Marshal(map[string]any{"content": content})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestLinksOfChatProviders checks that the sources which a provider of chat completions
// names, in its message or beside it, reach callers of the other dialects.
func TestLinksOfChatProviders(t *testing.T) {
	w := newWorld(t)
	const cited = `"annotations":[{"type":"url_citation","url_citation":{"url":"https://tides.example/brest","title":"Tides","start_index":0,"end_index":7}}]`
	for provider, extra := range map[string][2]string{
		"deepseek":   {cited, ""},
		"perplexity": {`"refusal":null`, `,"citations":["https://tides.example/brest"],"search_results":[{"title":"Tides","url":"https://tides.example/brest","date":null}]`},
	} {
		w.upstream(provider, func(rw http.ResponseWriter, r *http.Request) {
			var req map[string]any
			json.NewDecoder(r.Body).Decode(&req)
			if req["stream"] != true {
				rw.Write([]byte(`{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"At four",` + extra[0] + `},"finish_reason":"stop"}]` + extra[1] + `}`))
				return
			}
			send := events(rw)
			for _, chunk := range []string{
				`{"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"At "}}]` + extra[1] + `}`, `{"choices":[{"index":0,"delta":{"content":"four"}}]}`,
				`{"choices":[{"index":0,"delta":{` + extra[0] + `}}]` + extra[1] + `}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `[DONE]`,
			} {
				send("data: " + chunk + "\n\n")
			}
		})
		model := provider + "/sonar"
		for _, stream := range []string{"false", "true"} {
			w.do("POST", "/v1/messages", `{"model":"`+model+`","stream":`+stream+`,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`).want(t, 200, `{"type":"web_search_result_location","url":"https://tides.example/brest","title":"Tides"`)
			w.do("POST", "/v1/responses", `{"model":"`+model+`","stream":`+stream+`,"input":"x"}`).want(t, 200, `{"type":"url_citation","start_index":0,"end_index":7,"url":"https://tides.example/brest","title":"Tides"}`)
		}
		for _, verb := range []string{"generateContent", "streamGenerateContent?alt=sse"} {
			w.do("POST", "/v1beta/models/"+model+":"+verb, `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`).want(t, 200, `"groundingChunks":[{"web":{"uri":"https://tides.example/brest","title":"Tides"}}]`)
		}
	}
}

// TestWebSearchNotAllowed checks an account or model without web search: if the client
// offers it by default, the session continues; if it is required, the caller gets the
// refusal.
func TestWebSearchNotAllowed(t *testing.T) {
	w := newWorld(t)
	refuse := contains(`"web_search`, `{"type":"error","error":{"type":"invalid_request_error","message":"Web search is not enabled for this organization"}}`)
	asked := w.refusing("anthropic", dialect.Anthropic, refuse, message)
	const body = `{"model":"claude-sonnet-4-5","input":"x","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}},{"type":"web_search"}]}`
	for i, want := range []int{2, 1} {
		a := w.do("POST", "/v1/responses", body)
		if got := len(asked()); a.status != 200 || got != want || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "web_search") {
			t.Errorf("turn %d: %d %s, asked %d times, ignored %q", i+1, a.status, a.body, got, a.header.Get("X-Hostless-Ignored"))
		}
	}
	w.do("POST", "/v1/responses", `{"model":"claude-sonnet-4-5","input":"x","tools":[{"type":"web_search"}]}`).want(t, 400, "Web search is not enabled")
}
