package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

type known struct{ custom, lists string }

func (k known) Custom(name string) bool { return name == k.custom }
func (k known) Lists(model string) string {
	if model == "house-model" {
		return k.lists
	}
	return ""
}

func TestRoute(t *testing.T) {
	c := Default()
	for _, tt := range []struct{ in, provider, model string }{
		{"gpt-4o-mini", "openai", "gpt-4o-mini"},
		{"openai/gpt-4o", "openai", "gpt-4o"},
		{"openrouter/a/b", "openrouter", "a/b"},
		{"openrouter/anthropic/claude-sonnet-4", "openrouter", "anthropic/claude-sonnet-4"},
		{"claude-opus-4-5", "anthropic", "claude-opus-4-5"},
		{"gemini-2.5-flash", "google", "gemini-2.5-flash"},
		{"gemini/gemini-2.5-flash", "google", "gemini-2.5-flash"},
		{"google/gemini-2.5-flash", "google", "gemini-2.5-flash"},
		{"models/gemini-2.5-flash", "google", "gemini-2.5-flash"},
		{"GROQ/llama", "groq", "llama"},
		{"grok-4", "xai", "grok-4"},
		{"deepseek-chat", "deepseek", "deepseek-chat"},
		{"meta-llama/Llama-3", "openai", "meta-llama/Llama-3"},
		{"mine/x/y", "mine", "x/y"},
		{"Mine/x", "mine", "x"},
		{"house-model", "mine", "house-model"},
		{"something-new", "openai", "something-new"},
		{"ollama/qwen3:8b", "ollama", "qwen3:8b"},
		{"echo/text", "echo", "text"},
		{"openai/", "openai", "openai/"},
		{"/x", "openai", "/x"},
		{"", "openai", ""},
	} {
		got := c.Route(tt.in, known{"mine", "mine"})
		if got.Provider != tt.provider || got.Model != tt.model {
			t.Errorf("Route(%q) = %+v, want %s %s", tt.in, got, tt.provider, tt.model)
		}
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("openrouter/a/b", "mine")
	f.Add("mine/x", "mine")
	c := Default()
	f.Fuzz(func(t *testing.T, model, custom string) {
		got := c.Route(model, known{custom: custom})
		if !ValidName(got.Provider) {
			t.Fatalf("Route(%q) went to %q", model, got.Provider)
		}
		if got.Stripped != (got.Model != model) || !strings.HasSuffix(model, got.Model) {
			t.Fatalf("Route(%q) = %+v", model, got)
		}
	})
}

func TestBase(t *testing.T) {
	c := Default()
	for _, tt := range []struct {
		provider, own string
		speaks        dialect.Name
		want          string
	}{
		{"openai", "", dialect.OpenAI, "https://api.openai.com/v1"},
		{"openai", "https://api.openai.com", dialect.OpenAI, "https://api.openai.com/v1"},
		{"openai", "http://127.0.0.1:9/v1/", dialect.OpenAI, "http://127.0.0.1:9/v1"},
		{"openai", "http://127.0.0.1:9", dialect.OpenAI, "http://127.0.0.1:9/v1"},
		{"openai", "http://127.0.0.1:9/v1/chat/completions", dialect.OpenAI, "http://127.0.0.1:9/v1"},
		{"openai", "http://127.0.0.1:9/proxy", dialect.OpenAI, "http://127.0.0.1:9/proxy/v1"},
		{"anthropic", "http://127.0.0.1:9", dialect.Anthropic, "http://127.0.0.1:9/v1"},
		{"anthropic", "", dialect.Anthropic, "https://api.anthropic.com/v1"},
		{"google", "", dialect.Gemini, "https://generativelanguage.googleapis.com/v1beta"},
		{"google", "", dialect.OpenAI, "https://generativelanguage.googleapis.com/v1beta/openai"},
		{"google", "https://generativelanguage.googleapis.com/v1beta/openai/", dialect.Gemini, "https://generativelanguage.googleapis.com/v1beta"},
		{"google", "http://127.0.0.1:9", dialect.Gemini, "http://127.0.0.1:9/v1beta"},
		{"google", "http://127.0.0.1:9/v1beta", dialect.OpenAI, "http://127.0.0.1:9/v1beta/openai"},
		{"groq", "https://api.groq.com", dialect.OpenAI, "https://api.groq.com/openai/v1"},
		{"groq", "https://api.groq.com/openai", dialect.OpenAI, "https://api.groq.com/openai/v1"},
		{"groq", "http://127.0.0.1:9", dialect.OpenAI, "http://127.0.0.1:9/v1"},
		{"deepseek", "https://api.deepseek.com", dialect.Anthropic, "https://api.deepseek.com/anthropic/v1"},
		{"deepseek", "http://127.0.0.1:9", dialect.Anthropic, ""},
		{"perplexity", "", dialect.OpenAI, "https://api.perplexity.ai"},
		{"zhipu", "", dialect.OpenAI, "https://api.z.ai/api/paas/v4"},
		{"zhipu", "https://open.bigmodel.cn/api/paas/v4", dialect.OpenAI, "https://open.bigmodel.cn/api/paas/v4"},
		{"azure", "https://r.openai.azure.com", dialect.OpenAI, "https://r.openai.azure.com/openai/v1"},
		{"azure", "https://r.openai.azure.com/openai/v1/", dialect.OpenAI, "https://r.openai.azure.com/openai/v1"},
		{"ollama", "", dialect.OpenAI, "http://127.0.0.1:11434/v1"},
		{"groq", "", dialect.Gemini, ""},
	} {
		base, _, ok, err := c.Get(tt.provider).Base(tt.own, tt.speaks)
		got := ""
		if ok {
			got = base.String()
		}
		if err != nil || got != tt.want {
			t.Errorf("%s %q %s = %q, %v; want %q", tt.provider, tt.own, tt.speaks, got, err, tt.want)
		}
	}
	if _, _, _, err := c.Get("azure").Base("", dialect.OpenAI); !fault.Is(err, fault.Unconfigured) {
		t.Errorf("azure without base URL: %v", err)
	}
	for _, own := range []string{"ftp://x", "http://", "x", "http://u:p@h", "http://h?q=1", "http://h/#f", "http://h/%2e"} {
		if _, err := ParseBaseURL(own); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseBaseURL(%q) = %v", own, err)
		}
	}
}

func TestCatalogue(t *testing.T) {
	c := Default()
	for _, name := range strings.Fields("openai anthropic google openrouter groq mistral deepseek xai together fireworks cerebras perplexity cohere azure bedrock vertex moonshot zhipu dashscope nvidia github huggingface ollama lmstudio vllm llamacpp echo") {
		if p := c.Get(name); p == nil || p.Title == "" {
			t.Errorf("provider %s is missing", name)
		}
	}
	for _, tt := range []struct{ key, want string }{
		{"sk-ant-api03-x", "anthropic"}, {"sk-proj-x", "openai"}, {"sk-x", "openai"}, {"sk-or-v1-x", "openrouter"}, {"gsk_x", "groq"}, {"AIzaX", "google"}, {"AQ.X", "google"}, {"xai-x", "xai"}, {"csk-x", "cerebras"}, {"hf_x", "huggingface"},
	} {
		if p := c.ByKey(tt.key); p == nil || p.Name != tt.want {
			t.Errorf("ByKey(%q) = %v, want %s", tt.key, p, tt.want)
		}
	}
	if p := c.ByKey("something"); p != nil {
		t.Errorf("ByKey of an unknown form = %s", p.Name)
	}
	for _, p := range c.All() {
		for _, e := range p.Dialects {
			if !slices.Contains([]Auth{"", Bearer, XAPIKey, XGoogAPIKey, APIKeyHeader, NoAuth}, e.Auth) {
				t.Errorf("%s: auth %q", p.Name, e.Auth)
			}
		}
		if p.BaseURL == "" && p.BaseURLForm == "" && !p.Builtin {
			t.Errorf("%s: neither base URL nor its form", p.Name)
		}
	}
}

func TestCheckBaseURL(t *testing.T) {
	for _, u := range []string{"http://169.254.169.254/latest", "http://[fe80::1%25eth0]/v1", "http://10.0.0.7/v1"} {
		if err := CheckBaseURL(u, false); !fault.Is(err, fault.Invalid) {
			t.Errorf("CheckBaseURL(%s) = %v", u, err)
		}
		if err := CheckBaseURL(u, true); err != nil {
			t.Errorf("CheckBaseURL(%s, allowed) = %v", u, err)
		}
	}
	for _, u := range []string{"http://127.0.0.1:1/v1", "https://api.example.com", "http://localhost:1"} {
		if err := CheckBaseURL(u, false); err != nil {
			t.Errorf("CheckBaseURL(%s) = %v", u, err)
		}
	}
}
