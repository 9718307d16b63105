package launch

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/launch/detect"
)

// TestEnvironmentOfAnInnerRun checks that the variables that an outer run has set are not
// reported as changed, and do not reach the inner app.
func TestEnvironmentOfAnInnerRun(t *testing.T) {
	outer := []string{"HOSTLESS_TOKEN=sk_local_outer", "OPENAI_API_KEY=sk_local_outer", "ANTHROPIC_API_KEY=sk_local_own", "GROQ_API_KEY=sk_local_outer"}
	ai := aiEnv{held: []string{"openai", "groq"}}
	env, changed, removed := childEnv{token: "sk_local_inner", gateway: "http://g", ai: ai}.build(outer)
	if len(changed)+len(removed) != 0 {
		t.Errorf("it reports that %v changed and %v went", changed, removed)
	}
	tokens := func(env []string) []string {
		return slices.DeleteFunc(env, func(v string) bool { return !strings.Contains(v, "=sk_local_") })
	}
	want := []string{"HOSTLESS_TOKEN=sk_local_inner", "OPENAI_API_KEY=sk_local_inner", "ANTHROPIC_API_KEY=sk_local_own"}
	if diff := cmp.Diff(want, tokens(env)); diff != "" {
		t.Errorf("with a token (-want +got):\n%s", diff)
	}
	env, _, _ = childEnv{gateway: "http://g", ai: ai}.build(outer)
	if diff := cmp.Diff([]string{"ANTHROPIC_API_KEY=sk_local_own"}, tokens(env)); diff != "" {
		t.Errorf("without a token (-want +got):\n%s", diff)
	}
}

// values returns variables of an environment; "-" for one that is absent.
func values(env []string, names ...string) map[string]string {
	got := map[string]string{}
	for _, name := range names {
		got[name] = "-"
	}
	for _, entry := range env {
		if name, value, _ := strings.Cut(entry, "="); got[name] != "" {
			got[name] = value
		}
	}
	return got
}

// TestOneKeyOfEachPair checks that only one name of a key is set: an SDK that finds two
// warns, or asks.
func TestOneKeyOfEachPair(t *testing.T) {
	shell := []string{"ANTHROPIC_API_KEY=sk-ant-real", "GOOGLE_API_KEY=AIza-real"}
	ai := aiEnv{held: []string{"openai", "anthropic", "google"}}
	env, _, removed := childEnv{token: "sk_local_t", gateway: "http://g", ai: ai}.build(shell)
	want := map[string]string{
		"ANTHROPIC_AUTH_TOKEN": "sk_local_t", "ANTHROPIC_API_KEY": "-", "ANTHROPIC_BASE_URL": "http://g",
		"GEMINI_API_KEY": "sk_local_t", "GOOGLE_API_KEY": "-", "GOOGLE_GENERATIVE_AI_API_KEY": "sk_local_t",
		"GOOGLE_GEMINI_BASE_URL": "http://g", "GOOGLE_GENERATIVE_AI_BASE_URL": "http://g/v1beta", "CODEX_API_KEY": "-",
	}
	names := slices.Collect(maps.Keys(want))
	if diff := cmp.Diff(want, values(env, names...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Equal(removed, []string{"ANTHROPIC_API_KEY", "GOOGLE_API_KEY"}) {
		t.Errorf("removed %v", removed)
	}
	ai.keyed, ai.codex = true, true
	env, _, _ = childEnv{token: "sk_local_t", gateway: "http://g", ai: ai}.build(shell)
	want["ANTHROPIC_AUTH_TOKEN"], want["ANTHROPIC_API_KEY"], want["CODEX_API_KEY"] = "-", "sk_local_t", "sk_local_t"
	if diff := cmp.Diff(want, values(env, names...)); diff != "" {
		t.Errorf("a client of the key alone, and Codex (-want +got):\n%s", diff)
	}
}

// TestAgentModels checks that an agent's own names for models mean the requested model,
// and that its SDK is directed to the gateway although no key of its provider is held or
// allowed.
func TestAgentModels(t *testing.T) {
	for agent, want := range map[string]map[string]string{
		"claude": {"ANTHROPIC_BASE_URL": "http://g", "ANTHROPIC_AUTH_TOKEN": "sk_local_t", "ANTHROPIC_MODEL": "gpt-5.6", "ANTHROPIC_DEFAULT_OPUS_MODEL": "gpt-5.6", "ANTHROPIC_DEFAULT_SONNET_MODEL": "gpt-5.6", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "gpt-5.6", "CLAUDE_CODE_SUBAGENT_MODEL": "gpt-5.6", "GEMINI_MODEL": "-"},
		"gemini": {"GOOGLE_GEMINI_BASE_URL": "http://g", "GEMINI_API_KEY": "sk_local_t", "GEMINI_MODEL": "gpt-5.6", "ANTHROPIC_MODEL": "own"},
		"aider":  {"OPENAI_API_BASE": "http://g/v1", "OPENAI_API_KEY": "sk_local_t", "AIDER_MODEL": "openai/gpt-5.6"},
		"codex":  {"OPENAI_BASE_URL": "http://g/v1", "OPENAI_API_KEY": "sk_local_t", "ANTHROPIC_MODEL": "own"},
	} {
		ai := aiEnv{held: []string{"mistral"}, allowed: []string{"mistral"}}
		ai.useModel(agent, "gpt-5.6")
		env, _, _ := childEnv{token: "sk_local_t", gateway: "http://g", ai: ai}.build([]string{"ANTHROPIC_MODEL=own"})
		names := make([]string, 0, len(want))
		for name := range want {
			names = append(names, name)
		}
		if diff := cmp.Diff(want, values(env, names...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", agent, diff)
		}
	}
}

// TestOpencodeConfig checks the configuration for opencode: its providers are directed to
// the gateway, with the run's token alone, and what the shell has set is kept.
func TestOpencodeConfig(t *testing.T) {
	ai := aiEnv{held: []string{"anthropic", "google", "groq"}, opens: true}
	build := func(shell ...string) string {
		env, _, _ := childEnv{token: "sk_local_t", gateway: "http://g", ai: ai}.build(shell)
		return values(env, opencodeConfig)[opencodeConfig]
	}
	const providers = `"anthropic":{"options":{"apiKey":"sk_local_t","baseURL":"http://g/v1"}},"google":{"options":{"apiKey":"sk_local_t","baseURL":"http://g/v1beta"}}`
	if got, want := build(), `{"provider":{`+providers+`}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := build(`OPENCODE_CONFIG_CONTENT={"share":"disabled","provider":{"mine":{"name":"m"}}}`), `{"provider":{`+providers+`,"mine":{"name":"m"}},"share":"disabled"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := build("OPENCODE_CONFIG_CONTENT=broken"); got != "broken" {
		t.Errorf("got %s", got)
	}
	ai.held = nil
	ai.useModel("opencode", "groq/openai/gpt-oss-120b")
	if got := build(); !strings.HasPrefix(got, `{"model":"hostless/groq/openai/gpt-oss-120b","provider":{"hostless":{"models":{"groq/openai/gpt-oss-120b":{`) || !strings.Contains(got, `"apiKey":"sk_local_t","baseURL":"http://g/v1"`) {
		t.Errorf("got %s", got)
	}
}

// TestFrameworkVariables checks the variables for servers that need more than PORT and
// HOST, and that the shell's own values are kept.
func TestFrameworkVariables(t *testing.T) {
	names := []string{"NG_ALLOWED_HOSTS", "NG_TRUST_PROXY_HEADERS", "DENO_SERVE_ADDRESS", "PYTHONUNBUFFERED"}
	e := childEnv{port: 4123, hostname: "shop.localhost", piped: true}
	env, _, _ := e.build(nil)
	want := map[string]string{
		"NG_ALLOWED_HOSTS": "shop.localhost", "NG_TRUST_PROXY_HEADERS": "x-forwarded-host,x-forwarded-proto,x-forwarded-port,x-forwarded-for",
		"DENO_SERVE_ADDRESS": "tcp:127.0.0.1:4123", "PYTHONUNBUFFERED": "1",
	}
	if diff := cmp.Diff(want, values(env, names...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e.piped = false
	env, _, _ = e.build([]string{"NG_ALLOWED_HOSTS=example.com", "NG_TRUST_PROXY_HEADERS=x-forwarded-host", "DENO_SERVE_ADDRESS=tcp:0.0.0.0:9"})
	want = map[string]string{
		"NG_ALLOWED_HOSTS": "example.com,shop.localhost", "NG_TRUST_PROXY_HEADERS": "x-forwarded-host", "DENO_SERVE_ADDRESS": "tcp:0.0.0.0:9", "PYTHONUNBUFFERED": "-",
	}
	if diff := cmp.Diff(want, values(env, names...)); diff != "" {
		t.Errorf("with values of the shell's (-want +got):\n%s", diff)
	}
}

// TestPeers checks that the variables of a project's apps do not depend on the branch.
func TestPeers(t *testing.T) {
	apps := []detect.App{{Name: "api.login.shop", Label: "api"}, {Name: "my-web.login.shop", Label: "my-web"}}
	want := []string{"HOSTLESS_URL_API=https://api.login.shop.localhost:1", "HOSTLESS_URL_MY_WEB=https://my-web.login.shop.localhost:1"}
	env, _, _ := childEnv{peers: peersOf(apps, "https://my-web.login.shop.localhost:1", "my-web.login.shop.localhost")}.build(nil)
	got := slices.DeleteFunc(env, func(v string) bool { return !strings.HasPrefix(v, "HOSTLESS_URL_") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
