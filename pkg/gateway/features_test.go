package gateway_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

var update = flag.Bool("update", false, "rewrite the feature matrix of docs/proxy-api.md")

// features are the columns of the matrix.
var features = []string{"tools", "streamed tools", "thinking replayed", "images", "PDFs", "structured output", "web search", "cached tokens", "usage"}

const (
	onePixel = "iVBORw0KGgo="
	aPDF     = "JVBERi0xLjc="
	aSchema  = `{"type":"object","properties":{"city_of_light":{"type":"string"}},"required":["city_of_light"],"additionalProperties":false}`
)

// speaker has the requests of one dialect for the features. "" means that the dialect does
// not have the feature. MODEL stands for the model.
type speaker struct {
	name     string
	path     string // of a request without streaming
	streamed string // of a streamed request, if different
	requests map[string]string
	calls    string // text that shows a tool call in a response
	cached   string // text that shows cached tokens
	used     string // text that shows the usage
	replay   func(request, answer map[string]any) map[string]any
}

var speakers = []speaker{
	{
		name: "chat completions", path: "/v1/chat/completions", calls: `"name":"weather"`, cached: `"cached_tokens":3`, used: `"completion_tokens":4`,
		requests: map[string]string{
			"tools":             `{"model":"MODEL","messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"weather","parameters":` + aSchema + `}}]}`,
			"thinking replayed": `{"model":"MODEL","reasoning_effort":"high","messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"weather","parameters":` + aSchema + `}}]}`,
			"images":            `{"model":"MODEL","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + onePixel + `"}}]}]}`,
			"PDFs":              `{"model":"MODEL","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + aPDF + `"}}]}]}`,
			"structured output": `{"model":"MODEL","messages":[{"role":"user","content":"go"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":` + aSchema + `,"strict":true}}}`,
			"web search":        `{"model":"MODEL","web_search_options":{},"messages":[{"role":"user","content":"go"}]}`,
			"usage":             `{"model":"MODEL","messages":[{"role":"user","content":"go"}]}`,
		},
		replay: func(request, answer map[string]any) map[string]any {
			message := at(answer, "choices", 0, "message").(map[string]any)
			request["messages"] = append(request["messages"].([]any), message, map[string]any{"role": "tool", "tool_call_id": at(message, "tool_calls", 0, "id"), "content": "sunny"})
			return request
		},
	},
	{
		name: "Responses", path: "/v1/responses", calls: `"name":"weather"`, cached: `"cached_tokens":3`, used: `"output_tokens":4`,
		requests: map[string]string{
			"tools":             `{"model":"MODEL","store":false,"input":"go","tools":[{"type":"function","name":"weather","strict":true,"parameters":` + aSchema + `}]}`,
			"thinking replayed": `{"model":"MODEL","store":false,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"high","summary":"auto"},"input":[{"type":"message","role":"user","content":"go"}],"tools":[{"type":"function","name":"weather","strict":true,"parameters":` + aSchema + `}]}`,
			"images":            `{"model":"MODEL","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,` + onePixel + `"}]}]}`,
			"PDFs":              `{"model":"MODEL","input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,` + aPDF + `"}]}]}`,
			"structured output": `{"model":"MODEL","input":"go","text":{"format":{"type":"json_schema","name":"a","schema":` + aSchema + `,"strict":true}}}`,
			"web search":        `{"model":"MODEL","input":"go","tools":[{"type":"web_search"}],"include":["web_search_call.action.sources"]}`,
			"usage":             `{"model":"MODEL","input":"go"}`,
		},
		replay: func(request, answer map[string]any) map[string]any {
			items := request["input"].([]any)
			for _, item := range answer["output"].([]any) {
				items = append(items, item)
				if call, _ := item.(map[string]any); call["type"] == "function_call" {
					items = append(items, map[string]any{"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"})
				}
			}
			request["input"] = items
			return request
		},
	},
	{
		name: "Messages", path: "/v1/messages", calls: `"name":"weather"`, cached: `"cache_read_input_tokens":3`, used: `"output_tokens":4`,
		requests: map[string]string{
			"tools":             `{"model":"MODEL","max_tokens":4000,"messages":[{"role":"user","content":"go"}],"tools":[{"name":"weather","input_schema":` + aSchema + `}]}`,
			"thinking replayed": `{"model":"MODEL","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"go"}],"tools":[{"name":"weather","input_schema":` + aSchema + `}]}`,
			"images":            `{"model":"MODEL","max_tokens":50,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + onePixel + `"}}]}]}`,
			"PDFs":              `{"model":"MODEL","max_tokens":50,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + aPDF + `"}}]}]}`,
			"structured output": `{"model":"MODEL","max_tokens":50,"output_config":{"format":{"type":"json_schema","schema":` + aSchema + `}},"messages":[{"role":"user","content":"go"}]}`,
			"web search":        `{"model":"MODEL","max_tokens":50,"messages":[{"role":"user","content":"go"}],"tools":[{"type":"web_search_20250305","name":"web_search"}]}`,
			"usage":             `{"model":"MODEL","max_tokens":50,"messages":[{"role":"user","content":"go"}]}`,
		},
		replay: func(request, answer map[string]any) map[string]any {
			content := answer["content"].([]any)
			call := content[len(content)-1].(map[string]any)
			result := []any{map[string]any{"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}}
			request["messages"] = append(request["messages"].([]any), map[string]any{"role": "assistant", "content": content}, map[string]any{"role": "user", "content": result})
			return request
		},
	},
	{
		name: "Gemini", path: "/v1beta/models/MODEL:generateContent", streamed: "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
		calls: `"name":"weather"`, cached: `"cachedContentTokenCount":3`, used: `"candidatesTokenCount":4`,
		requests: map[string]string{
			"tools":             `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"weather","parametersJsonSchema":` + aSchema + `}]}]}`,
			"thinking replayed": `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"high"}},"tools":[{"functionDeclarations":[{"name":"weather","parametersJsonSchema":` + aSchema + `}]}]}`,
			"images":            `{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"` + onePixel + `"}}]}]}`,
			"PDFs":              `{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"application/pdf","data":"` + aPDF + `"}}]}]}`,
			"structured output": `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":` + aSchema + `}}`,
			"web search":        `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"googleSearch":{}}]}`,
			"usage":             `{"contents":[{"role":"user","parts":[{"text":"go"}]}]}`,
		},
		replay: func(request, answer map[string]any) map[string]any {
			turn := at(answer, "candidates", 0, "content").(map[string]any)
			var results []any
			for _, part := range turn["parts"].([]any) {
				if call, ok := part.(map[string]any)["functionCall"].(map[string]any); ok {
					results = append(results, map[string]any{"functionResponse": map[string]any{"id": call["id"], "name": call["name"], "response": map[string]any{"output": "sunny"}}})
				}
			}
			request["contents"] = append(request["contents"].([]any), turn, map[string]any{"role": "user", "parts": results})
			return request
		},
	},
	{
		name: "Ollama", path: "/api/chat", calls: `"name":"weather"`, used: `"eval_count":4`,
		requests: map[string]string{
			"tools":             `{"model":"MODEL","messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"weather","parameters":` + aSchema + `}}]}`,
			"thinking replayed": `{"model":"MODEL","think":true,"messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"weather","parameters":` + aSchema + `}}]}`,
			"images":            `{"model":"MODEL","messages":[{"role":"user","content":"go","images":["` + onePixel + `"]}]}`,
			"structured output": `{"model":"MODEL","messages":[{"role":"user","content":"go"}],"format":` + aSchema + `}`,
			"usage":             `{"model":"MODEL","messages":[{"role":"user","content":"go"}]}`,
		},
		replay: func(request, answer map[string]any) map[string]any {
			request["messages"] = append(request["messages"].([]any), answer["message"], map[string]any{"role": "tool", "tool_name": "weather", "content": "sunny"})
			return request
		},
	},
}

// featureProvider is a provider of the matrix: its stand-in, and the parts of its thinking
// that must be sent back to it.
type featureProvider struct {
	name, model string
	server      *standin.Server
	thinking    string
}

// at returns the value at a path of a decoded response.
func at(v any, path ...any) any {
	for _, step := range path {
		switch k := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

// cell tries a feature and returns its entry in the matrix.
func (s *speaker) cell(t *testing.T, w *world, p *featureProvider, feature string) string {
	request := s.requests[feature]
	switch feature {
	case "streamed tools":
		request = s.requests["tools"]
	case "cached tokens":
		if request = s.requests["usage"]; s.cached == "" {
			request = ""
		}
	}
	if request == "" {
		return "–"
	}
	request = strings.ReplaceAll(request, "MODEL", p.model)
	path := s.path
	switch stream := feature == "streamed tools"; {
	case s.streamed != "" && stream:
		path = s.streamed
	case s.streamed == "":
		request = strings.Replace(request, "{", fmt.Sprintf(`{"stream":%t,`, stream), 1)
	}
	path = strings.ReplaceAll(path, "MODEL", p.model)
	a := w.do("POST", path, request)
	seen := string(p.server.Last(t).Body)
	works := false
	switch feature {
	case "tools":
		works = strings.Contains(a.body, s.calls) && strings.Contains(a.body, "city_of_light")
	case "streamed tools":
		works = strings.Contains(a.body, s.calls) && !strings.Contains(a.body, `"error":{`)
	case "thinking replayed":
		var sent, answer map[string]any
		if a.status != 200 || json.Unmarshal([]byte(request), &sent) != nil || json.Unmarshal([]byte(a.body), &answer) != nil {
			break
		}
		next, _ := json.Marshal(s.replay(sent, answer))
		a = w.do("POST", path, string(next))
		works = a.status == 200 && strings.Contains(string(p.server.Last(t).Body), p.thinking)
	case "images":
		works = strings.Contains(seen, onePixel)
	case "PDFs":
		works = strings.Contains(seen, aPDF)
	case "structured output":
		works = strings.Contains(seen, "city_of_light")
	case "web search":
		works = strings.Contains(a.body, standin.SearchURL)
	case "cached tokens":
		works = strings.Contains(a.body, s.cached)
	case "usage":
		works = strings.Contains(a.body, s.used) || strings.Contains(a.body, strings.Replace(s.used, ":4", ":6", 1)) // with thinking
	}
	switch {
	case a.status == 400:
		return "refused"
	case a.status == 200 && works:
		return "yes"
	case a.status == 200 && a.header.Get("X-Hostless-Ignored") != "":
		return "left out"
	}
	t.Logf("%s on %s, %s: %d %s\nasked: %s", s.name, p.name, feature, a.status, a.body, p.server.Last(t).Body)
	return "no"
}

// TestFeatureMatrix tries each feature in each dialect on each provider's strict stand-in,
// and compares the results with the matrix of docs/proxy-api.md. -update rewrites it.
func TestFeatureMatrix(t *testing.T) {
	w := newWorld(t)
	providers := []featureProvider{
		{"OpenAI", "gpt-5.6", standin.OpenAI(t, canary), "gAAAAstandin"},
		{"Anthropic", "claude-sonnet-4-5", standin.Anthropic(t, canary), "c2lnbmF0dXJl"},
		{"Google", "gemini-3-pro", standin.Gemini(t, canary), "dGhvdWdodA=="},
		{"others, by chat completions", "deepseek/deepseek-v4", standin.Chat(t, canary), "Look first."},
	}
	for i, name := range []string{"openai", "anthropic", "google", "deepseek"} {
		base := "/v1"
		if name == "google" {
			base = "/v1beta"
		}
		providers[i].server.Cached = 3
		w.keys.put(name, providers[i].server.URL+base)
	}
	want := "\n| dialect | provider | " + strings.Join(features, " | ") + " |\n|" + strings.Repeat("---|", len(features)+2) + "\n"
	for i := range speakers {
		for j := range providers {
			want += "| " + speakers[i].name + " | " + providers[j].name + " |"
			for _, feature := range features {
				want += " " + speakers[i].cell(t, w, &providers[j], feature) + " |"
			}
			want += "\n"
		}
	}
	want += "\n"
	const (
		file = "../../docs/proxy-api.md"
		from = "<!-- features: make docs -->\n"
		to   = "<!-- /features -->\n"
	)
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), from)
	written, after, closed := strings.Cut(rest, to)
	switch {
	case !ok || !closed:
		t.Fatal("the feature matrix is missing")
	case written == want:
	case !*update:
		t.Fatalf("the feature matrix of docs/proxy-api.md is out of date: run make docs, which makes it\n%s", want)
	default:
		if err := os.WriteFile(file, []byte(before+from+want+to+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
