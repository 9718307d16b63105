package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/test/standin"
)

// TestHostedToolsOfMessages checks that tools that Anthropic runs end no session on
// another provider: among other tools they are left out and named, alone or required they
// are refused.
func TestHostedToolsOfMessages(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	gemini := standin.Gemini(t, canary)
	w.keys.put("google", gemini.URL+"/v1beta")
	const hosted, own = `{"type":"code_execution_20250825","name":"code_execution"},{"type":"tool_search_tool_regex_20251119","name":"tool_search_tool_regex"}`, `,{"name":"Bash","input_schema":{"type":"object"}}`
	for _, model := range []string{"gpt-4o", "gemini-2.5-flash", "deepseek/deepseek-chat"} {
		request := func(tools, choice string) string {
			return `{"model":"` + model + `","max_tokens":50,"tools":[` + tools + `],` + choice + `"messages":[{"role":"user","content":"go"}]}`
		}
		w.survive([]session{{"hosted tools on " + model, "/v1/messages", request(hosted+own, ""), "tools.code_execution_20250825 tools.tool_search_tool_regex_20251119"}})
		w.do("POST", "/v1/messages", request(hosted, "")).want(t, 400, "Anthropic's own")
		w.do("POST", "/v1/messages", request(hosted+own, `"tool_choice":{"type":"tool","name":"code_execution"},`)).want(t, 400, "Anthropic's own")
	}
	// Google reads pages itself.
	fetch := `{"model":"gemini-2.5-flash","max_tokens":50,"tools":[{"type":"web_fetch_20250910","name":"web_fetch","max_uses":2}],"messages":[{"role":"user","content":"read https://example.com"}]}`
	if a := w.do("POST", "/v1/messages", fetch); a.status != 200 || !strings.Contains(string(gemini.Last(t).Body), `"tools":[{"urlContext":{}}]`) {
		t.Errorf("%d %s: Google was asked %s", a.status, a.body, gemini.Last(t).Body)
	}
	both := strings.Replace(fetch, `"tools":[`, `"tools":[{"type":"web_search_20250305","name":"web_search"},`, 1)
	if a := w.do("POST", "/v1/messages", both); a.status != 200 || !strings.Contains(string(gemini.Last(t).Body), `"tools":[{"googleSearch":{}},{"urlContext":{}}]`) {
		t.Errorf("%d %s: Google was asked %s", a.status, a.body, gemini.Last(t).Body)
	}
	w.do("POST", "/v1/messages", strings.Replace(fetch, "gemini-2.5-flash", "deepseek/deepseek-chat", 1)).want(t, 400, "reading pages by URL")
}

// TestWhatIsNamed checks that changes to a request that need no equal are named too.
func TestWhatIsNamed(t *testing.T) {
	w := newWorld(t)
	chat, gemini := standin.Chat(t, canary), standin.Gemini(t, canary)
	w.keys.put("openrouter", chat.URL+"/v1")
	w.keys.put("mistral", chat.URL+"/v1")
	w.keys.put("google", gemini.URL+"/v1beta")
	w.survive([]session{
		{"options of a tool that makes pictures", "/v1/responses", `{"model":"gemini-2.5-flash-image","tools":[{"type":"image_generation","size":"1024x1024","quality":"high"}],"input":"draw"}`, "tools.image_generation.size tools.image_generation.quality"},
		{"ids of Mistral's form", "/v1/messages", `{"model":"mistral/mistral-large-latest","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"ok"}]}]}`, "messages.tool_calls.id"},
		{"the same, native", "/v1/chat/completions", `{"model":"mistral/mistral-large-latest","messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"toolu_1","content":"ok"}]}`, "messages.tool_calls.id"},
	})
	// A mark for the prompt cache is the only byte that is added.
	const body = `{"model":"openrouter/anthropic/claude-sonnet-4.5",  "messages":[{"role":"user","content":"a"}] }`
	a := w.do("POST", "/v1/chat/completions", body)
	want := `{"model":"anthropic/claude-sonnet-4.5",  "messages":[{"role":"user","content":"a"}] ,"cache_control":{"type":"ephemeral"}}`
	if got := string(chat.Last(t).Body); got != want || a.header.Get("X-Hostless-Ignored") != "cache_control" {
		t.Errorf("%q: sent %s\nwant %s", a.header.Get("X-Hostless-Ignored"), got, want)
	}
}

// TestModelFactsInUse checks that newer model facts than the embedded ones reach the
// translations and Codex's list.
func TestModelFactsInUse(t *testing.T) {
	w := newWorld(t, func(cfg *gateway.Config) {
		cfg.Facts = func(provider, model string) prices.Facts {
			if model != "m-new" {
				return prices.FactsOf(provider, model)
			}
			return prices.Facts{Context: 5000, Output: 300, TextOnly: true, Known: true, Efforts: "low xhigh"}
		}
	})
	chat := standin.Chat(t, canary)
	w.keys.put("mistral", chat.URL+"/v1")
	w.settings.Models = map[string][]string{"cohere": {"m-new"}}
	w.keys.put("cohere", chat.URL+"/v1")
	a := w.do("POST", "/v1/messages", `{"model":"cohere/m-new","max_tokens":9000,"output_config":{"effort":"high"},"thinking":{"type":"adaptive"},"messages":[{"role":"user","content":[{"type":"text","text":"see"},
		{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}]}`)
	got := string(chat.Last(t).Body)
	if a.status != 200 || !strings.Contains(got, `"max_tokens":300`) || !strings.Contains(got, "picture left out") && !strings.Contains(got, "image left out") {
		t.Errorf("%d: sent %s", a.status, got)
	}
	a = w.do("POST", "/v1/responses", `{"model":"cohere/m-new","reasoning":{"effort":"medium"},"input":"go"}`)
	if got := effortAsked(chat.Last(t).Body); got != "xhigh" || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "reasoning_effort") {
		t.Errorf("effort %q, %v", got, a.header)
	}
	var list struct {
		Models []struct {
			Slug       string                    `json:"slug"`
			Window     int                       `json:"context_window"`
			Modalities []string                  `json:"input_modalities"`
			Default    string                    `json:"default_reasoning_level"`
			Efforts    []struct{ Effort string } `json:"supported_reasoning_levels"`
		} `json:"models"`
	}
	json.Unmarshal([]byte(w.do("GET", "/v1/models?client_version=0.169.0", "").body), &list)
	found := false
	for _, m := range list.Models {
		if m.Slug == "cohere/m-new" {
			found = m.Window == 5000 && len(m.Modalities) == 1 && m.Modalities[0] == "text" && len(m.Efforts) == 2 && m.Efforts[1].Effort == "xhigh" && m.Default == "low"
		}
	}
	if !found {
		t.Errorf("Codex's list: %+v", list.Models)
	}
	if dialect.Efforts("low xhigh").Nearest("none") != "low" {
		t.Error("no thinking is not the lowest effort")
	}
}
