package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway/alias"
	"github.com/hostless/hostless/test/standin"
)

// listing is the model list of a provider: entries in the provider's format, or ids, with
// "!" before models that do not generate text.
type listing struct {
	provider string
	base     string // path of the base URL
	start    func(testing.TB, string) *standin.Server
	ids      string // by ID
	entries  string // whole entries, for lists with more members
	refused  string // the ids in entries that do not generate text
}

var listings = []listing{
	{provider: "openai", base: "/v1", start: standin.OpenAI, ids: `gpt-4o-mini gpt-4.1 gpt-5 gpt-5-mini gpt-5-codex gpt-5.1 gpt-5.4-pro gpt-5.6 gpt-5.6-terra o3 o3-pro o4-mini chatgpt-4o-latest gpt-4o-audio-preview
		gpt-4o-search-preview o4-mini-deep-research computer-use-preview ft:gpt-4o-mini:org::7p !text-embedding-3-small !whisper-1 !tts-1-hd !gpt-4o-mini-tts !dall-e-3 !gpt-image-1 !omni-moderation-latest
		!gpt-realtime !gpt-4o-transcribe !sora-2-pro !babbage-002 !gpt-3.5-turbo-instruct`},
	{provider: "anthropic", base: "/v1", start: standin.Anthropic, ids: "claude-3-5-haiku-20241022 claude-sonnet-4-5 claude-haiku-4-5-20251001 claude-opus-4-6 claude-opus-4-8 claude-opus-5 claude-fable-1"},
	{provider: "google", base: "/v1beta", start: standin.Gemini, entries: `{"models":[
		{"name":"models/gemini-2.0-flash","supportedGenerationMethods":["generateContent","countTokens"]},{"name":"models/gemini-2.5-pro","supportedGenerationMethods":["generateContent"]},
		{"name":"models/gemini-3-pro","supportedGenerationMethods":["generateContent"]},{"name":"models/gemini-2.5-flash-image","supportedGenerationMethods":["generateContent"]},
		{"name":"models/gemma-3-27b-it","supportedGenerationMethods":["generateContent"]},
		{"name":"models/gemini-embedding-001","supportedGenerationMethods":["embedContent"]},{"name":"models/imagen-4.0-generate-001","supportedGenerationMethods":["predict"]},
		{"name":"models/veo-3.0-generate-001","supportedGenerationMethods":["predictLongRunning"]},{"name":"models/gemini-live-2.5-flash","supportedGenerationMethods":["bidiGenerateContent"]}]}`,
		refused: "gemini-embedding-001 imagen-4.0-generate-001 veo-3.0-generate-001 gemini-live-2.5-flash"},
	{provider: "openrouter", base: "/v1", start: standin.Chat, entries: `{"data":[{"id":"openai/gpt-5.6","architecture":{"output_modalities":["text"]}},{"id":"anthropic/claude-sonnet-4.5","architecture":{"output_modalities":["text"]}},
		{"id":"google/gemini-3-pro","architecture":{"output_modalities":["text"]}},{"id":"deepseek/deepseek-v4:free","architecture":{"output_modalities":["text"]}},
		{"id":"google/gemini-2.5-flash-image","architecture":{"output_modalities":["image","text"]}},{"id":"openai/text-embedding-3-small","architecture":{"output_modalities":["embeddings"]}},
		{"id":"black-forest-labs/flux.2","architecture":{"output_modalities":["image"]}}]}`,
		refused: "openrouter/openai/text-embedding-3-small openrouter/black-forest-labs/flux.2"},
	{provider: "mistral", base: "/v1", start: standin.Chat, entries: `{"data":[{"id":"mistral-large-latest","capabilities":{"completion_chat":true}},{"id":"codestral-latest","capabilities":{"completion_chat":true}},
		{"id":"mistral-embed","capabilities":{"completion_chat":false}},{"id":"mistral-ocr-latest","capabilities":{"completion_chat":false}}]}`, refused: "mistral/mistral-embed mistral/mistral-ocr-latest"},
	{provider: "together", base: "/v1", start: standin.Chat, entries: `[{"id":"deepseek-ai/DeepSeek-V3","type":"chat"},{"id":"black-forest-labs/FLUX.1-schnell","type":"image"},{"id":"BAAI/bge-large-en-v1.5","type":"embedding"},{"id":"cartesia/sonic","type":"audio"}]`,
		refused: "together/black-forest-labs/FLUX.1-schnell together/BAAI/bge-large-en-v1.5 together/cartesia/sonic"},
	{provider: "fireworks", base: "/inference/v1", start: standin.Chat, entries: `{"data":[{"id":"accounts/fireworks/models/glm-4p7","supports_chat":true},{"id":"accounts/fireworks/models/flux-1-dev","supports_chat":false}]}`,
		refused: "fireworks/accounts/fireworks/models/flux-1-dev"},
	{provider: "groq", base: "/openai/v1", start: standin.OpenAI, ids: "llama-3.1-8b-instant openai/gpt-oss-120b qwen/qwen3-32b meta-llama/llama-guard-4-12b groq/compound !whisper-large-v3-turbo !playai-tts !canopylabs/orpheus-v1-english"},
	{provider: "deepseek", base: "/v1", start: standin.Chat, ids: "deepseek-chat deepseek-reasoner deepseek-v4-pro"},
	{provider: "xai", base: "/v1", start: standin.OpenAI, ids: "grok-3-mini grok-4 grok-4-fast-non-reasoning grok-code-fast-1 !grok-2-image-1212"},
	{provider: "cerebras", base: "/v1", start: standin.Chat, ids: "llama3.1-8b gpt-oss-120b zai-glm-4.7"},
	{provider: "perplexity", base: "", start: standin.Chat, ids: "sonar sonar-pro sonar-reasoning-pro sonar-deep-research"},
	{provider: "cohere", base: "/compatibility/v1", start: standin.Chat, ids: "command-a-03-2025 command-r-plus-08-2024 command-r-08-2024 !embed-v4.0"},
	{provider: "azure", base: "/openai/v1", start: standin.OpenAI, ids: "gpt-5 my-deployment !text-embedding-3-large"},
	{provider: "bedrock", base: "/v1", start: standin.OpenAI, ids: "openai.gpt-oss-120b-1:0 us.anthropic.claude-sonnet-4-5-20250929-v1:0 !amazon.titan-embed-text-v2:0"},
	{provider: "moonshot", base: "/v1", start: standin.Chat, ids: "kimi-k2-thinking kimi-latest moonshot-v1-8k"},
	{provider: "zhipu", base: "/v4", start: standin.Chat, ids: "glm-4.7 glm-5"},
	{provider: "dashscope", base: "/compatible-mode/v1", start: standin.Chat, ids: "qwen3-max qwen3-coder-plus qwq-plus !text-embedding-v4"},
	{provider: "nvidia", base: "/v1", start: standin.Chat, ids: "meta/llama-3.3-70b-instruct nvidia/nemotron-4-340b-instruct !nvidia/nv-embedqa-e5-v5"},
	{provider: "huggingface", base: "/v1", start: standin.OpenAI, ids: "moonshotai/Kimi-K2-Thinking Qwen/Qwen3-32B:groq"},
	{provider: "ollama", base: "/v1", start: standin.Ollama, ids: "qwen3.5:9b llama3.2:latest !nomic-embed-text:latest"},
	{provider: "lmstudio", base: "/v1", start: standin.OpenAI, ids: "qwen/qwen3-coder-30b !text-embedding-nomic-embed-text-v1.5"},
	{provider: "vllm", base: "/v1", start: standin.Chat, ids: "Qwen/Qwen3-32B"},
	{provider: "llamacpp", base: "/v1", start: standin.Chat, ids: "default"},
	{provider: "mine", base: "/v1", start: standin.Chat, ids: "any/model:tag embed-everything"},
}

// data returns the list in the provider's format.
func (l *listing) data() string {
	if l.entries != "" {
		return l.entries
	}
	var entries []string
	for _, id := range strings.Fields(strings.ReplaceAll(l.ids, "!", "")) {
		if l.provider == "anthropic" {
			entries = append(entries, fmt.Sprintf(`{"type":"model","id":%q,"display_name":%q,"created_at":"2025-01-01T00:00:00Z"}`, id, id))
		} else {
			entries = append(entries, fmt.Sprintf(`{"id":%q,"object":"model","owned_by":"x"}`, id))
		}
	}
	return `{"object":"list","data":[` + strings.Join(entries, ",") + `]}`
}

// writesNot returns the listed ids of models that do not generate text.
func (l *listing) writesNot() map[string]bool {
	out := map[string]bool{}
	for _, id := range strings.Fields(l.refused) {
		out[id] = true
	}
	for _, id := range strings.Fields(l.ids) {
		if id, ok := strings.CutPrefix(id, "!"); ok {
			if l.provider != "openai" {
				id = l.provider + "/" + id
			}
			out[id] = true
		}
	}
	return out
}

// provider starts a provider with the given list that otherwise responds like its strict
// stand-in.
func (w *world) listed(l *listing) {
	inner := l.start(w.t, canary).Config.Handler
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/models") {
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, l.data())
			return
		}
		if own := strings.TrimPrefix(r.URL.Path, l.base); own != r.URL.Path && l.base != "/v1beta" {
			r.URL.Path = "/v1" + own
		} else if l.base == "" {
			r.URL.Path = "/v1" + r.URL.Path
		}
		if key := r.Header.Get("Api-Key"); key != "" { // Azure's
			r.Header.Set("Authorization", "Bearer "+key)
		}
		inner.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(s.Close)
	w.keys.put(l.provider, s.URL+l.base)
}

// sweeps are requests in every dialect like those of agents, with instructions, a tool,
// thinking and an output limit.
var sweeps = []struct{ name, path, body string }{
	{"chat", "/v1/chat/completions", `{"model":"MODEL","stream":STREAM,"max_completion_tokens":2000,"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"go"}]}`},
	{"Responses", "/v1/responses", `{"model":"MODEL","stream":STREAM,"store":false,"instructions":"Be kind.","reasoning":{"effort":"high","summary":"auto"},"include":["reasoning.encrypted_content"],"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]}],
		"tools":[{"type":"function","name":"f","strict":false,"parameters":{"type":"object","properties":{}}}],"tool_choice":"auto"}`},
	{"Messages", "/v1/messages", `{"model":"MODEL","stream":STREAM,"max_tokens":32000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"system":[{"type":"text","text":"Be kind.","cache_control":{"type":"ephemeral"}}],
		"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"go"}]}`},
	{"Gemini", "/v1beta/models/MODEL:VERB", `{"systemInstruction":{"parts":[{"text":"Be kind."}]},"generationConfig":{"maxOutputTokens":2000,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":-1}},"contents":[{"role":"user","parts":[{"text":"go"}]}],
		"tools":[{"functionDeclarations":[{"name":"f"}]}]}`},
	{"Ollama", "/api/chat", `{"model":"MODEL","stream":STREAM,"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"go"}]}`},
	{"Ollama's generate", "/api/generate", `{"model":"MODEL","stream":STREAM,"prompt":"go"}`},
}

// TestEveryListedModel uses each model of GET /v1/models, of Gemini's list and of Ollama's
// in each dialect, with and without streaming. Hostless must refuse those that do not
// generate text.
func TestEveryListedModel(t *testing.T) {
	w := newWorld(t)
	writesNot := map[string]bool{}
	for i := range listings {
		w.listed(&listings[i])
		for id := range listings[i].writesNot() {
			writesNot[id] = true
		}
	}
	table, problems := alias.New(map[string][]string{"fast": {"groq/llama-3.1-8b-instant", "gpt-4o-mini"}, "opus": {"claude-opus-5"}, "vectors": {"text-embedding-3-small"}}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.settings.Aliases = table
	writesNot["vectors"] = true
	var list struct {
		Data []struct{ ID string } `json:"data"`
	}
	if err := json.Unmarshal([]byte(w.do("GET", "/v1/models", "").body), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Data {
		for _, s := range sweeps {
			for _, stream := range []string{"false", "true"} {
				w.sweep(m.ID, s.name, s.path, s.body, stream, writesNot[m.ID])
			}
		}
		delete(writesNot, m.ID)
	}
	if len(list.Data) < 90 || len(writesNot) > 0 {
		t.Errorf("%d models are listed; not listed: %v", len(list.Data), writesNot)
	}
	var tags struct{ Models []struct{ Name string } }
	json.Unmarshal([]byte(w.do("GET", "/api/tags", "").body), &tags)
	for _, m := range tags.Models {
		if a := w.do("POST", "/api/show", `{"model":"`+m.Name+`"}`); a.status != 200 {
			t.Errorf("show %s: %d %s", m.Name, a.status, a.body)
		} else if !strings.Contains(a.body, `"embedding"`) {
			w.do("POST", "/api/chat", `{"model":"`+m.Name+`","stream":false,"messages":[{"role":"user","content":"go"}]}`)
		}
	}
}

func (w *world) sweep(id, name, path, body, stream string, refused bool) {
	verb := map[string]string{"false": "generateContent", "true": "streamGenerateContent?alt=sse"}[stream]
	fill := strings.NewReplacer("MODEL", id, "STREAM", stream, "VERB", verb)
	a := w.do("POST", fill.Replace(path), fill.Replace(body))
	what := fmt.Sprintf("%s on %s, stream %s", name, id, stream)
	switch {
	case refused:
		if a.status != 400 || a.header.Get("X-Hostless-Error") != "local" || !strings.Contains(a.body, "provider") {
			w.t.Errorf("%s: %d %s; want a refusal of our own", what, a.status, a.body)
		}
	case a.status != 200:
		w.t.Errorf("%s: %d %s", what, a.status, a.body)
	case stream == "true" && strings.Contains(a.body, `"error":{`):
		w.t.Errorf("%s: %s", what, a.body)
	case !strings.Contains(a.body, "said") && !strings.Contains(a.body, `"name":"f"`) && !strings.Contains(a.body, `"go"`):
		w.t.Errorf("%s answers nothing: %s", what, a.body)
	}
}
