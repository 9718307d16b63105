package launch

import (
	"slices"
	"strings"
)

const (
	anthropicKey   = "ANTHROPIC_API_KEY"
	anthropicToken = "ANTHROPIC_AUTH_TOKEN"
)

// aiEnv says for which providers the AI SDKs' variables are made.
type aiEnv struct {
	// keyed has Anthropic's key instead of its token: for clients that read the key
	// alone, as the AI SDK and LangChain do.
	keyed   bool
	codex   bool     // the command is Codex, which has a key variable of its own
	held    []string // Hostless has a key or base URL of these
	allowed []string // the token may use these: names or *-suffix globs; empty is all
	// agent is the command, where it is a coding agent that is to use model, which may be
	// another provider's than its SDK.
	agent, model string
}

// agentSDK names the provider whose SDK an agent is built on.
var agentSDK = map[string]string{"claude": "anthropic", "codex": "openai", "gemini": "google", "aider": "openai"}

// agentModels are the variables that an agent takes its models from: for Claude Code
// those that its own names (opus, sonnet, haiku) stand for too, and that of the agents that it starts
// (https://code.claude.com/docs/en/model-config).
var agentModels = map[string][]string{
	"claude": {
		"ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL",
		"ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL",
	},
	"gemini": {"GEMINI_MODEL"},
	"aider":  {"AIDER_MODEL", "AIDER_WEAK_MODEL", "AIDER_EDITOR_MODEL"},
}

// lead has an agent use a model of any provider: its SDK leads to the gateway whether a
// key of its own provider is held or not.
func (a *aiEnv) lead(agent, model string) {
	a.agent, a.model = agent, model
	if p := agentSDK[agent]; !slices.Contains(a.held, p) {
		a.held = append(a.held[:len(a.held):len(a.held)], p)
	}
}

// models are the variables with the agent's model in them.
func (a aiEnv) models() map[string]string {
	model := a.model
	if a.agent == "aider" {
		model = "openai/" + model // LiteLLM's word for whose API it is
	}
	set := map[string]string{}
	for _, name := range agentModels[a.agent] {
		set[name] = model
	}
	return set
}

// sdk is what the SDKs of one provider read from the environment.
type sdk struct {
	rooted []string // base URLs without a version path: the SDK adds it
	v1     []string // base URLs that end in /v1
	v1beta []string // base URLs that end in /v1beta
	keys   []string // keys that are sent to one of these base URLs
	// twins are second names of a key. SDKs warn where both are set, and Claude
	// Code asks at each start which one is meant, so they are taken away.
	twins []string
	// stray keys have no variable that points their SDK at the gateway: the
	// bridge token must not be put there, it would be sent to the provider.
	stray []string
}

// sdks names the variables by provider. Sources: the SDKs' own documentation;
// openai-node and openai-python read OPENAI_BASE_URL with /v1, the Anthropic
// SDKs and Claude Code ANTHROPIC_BASE_URL without, google-genai and the Gemini
// CLI GOOGLE_GEMINI_BASE_URL without, aider OPENAI_API_BASE, Open WebUI
// OPENAI_API_BASE_URL, Ollama's libraries OLLAMA_HOST.
var sdks = map[string]sdk{
	"openai": {
		v1:   []string{"OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_BASE_URL"},
		keys: []string{"OPENAI_API_KEY"},
	},
	"anthropic": {
		rooted: []string{"ANTHROPIC_BASE_URL"},
		keys:   []string{anthropicToken},
		twins:  []string{anthropicKey},
	},
	"google": {
		rooted: []string{"GOOGLE_GEMINI_BASE_URL"},
		// The AI SDK has no variable for its base URL: GOOGLE_GENERATIVE_AI_BASE_URL is
		// what its users hand to createGoogleGenerativeAI.
		v1beta: []string{"GOOGLE_GENERATIVE_AI_BASE_URL"},
		keys:   []string{"GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"},
		twins:  []string{"GOOGLE_API_KEY"},
	},
	"ollama": {
		rooted: []string{"OLLAMA_HOST"},
		keys:   []string{"OLLAMA_API_KEY"},
	},
	"azure":       {stray: []string{"AZURE_OPENAI_API_KEY", "AZURE_API_KEY"}},
	"bedrock":     {stray: []string{"AWS_BEARER_TOKEN_BEDROCK"}},
	"cohere":      {stray: []string{"COHERE_API_KEY", "CO_API_KEY"}},
	"huggingface": {stray: []string{"HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGING_FACE_HUB_TOKEN"}},
	"perplexity":  {stray: []string{"PERPLEXITY_API_KEY", "PPLX_API_KEY"}},
	"together":    {stray: []string{"TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY"}},
	"zhipu":       {stray: []string{"ZHIPU_API_KEY", "ZHIPUAI_API_KEY", "ZAI_API_KEY"}},
}

// sdkOf finds a provider's variables; one without a row of its own has a key by
// the field's custom, NAME_API_KEY.
func sdkOf(provider string) sdk {
	if s, ok := sdks[provider]; ok {
		return s
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(provider))
	return sdk{stray: []string{name + "_API_KEY"}}
}

// apply points the SDKs of every held provider at the gateway with the token,
// and takes away real keys that no variable leads there. It names the shell's
// variables that it changed and removed, never their values, and not those with
// the token of an outer run.
func (a aiEnv) apply(env *environment, gateway, token string) (changed, removed []string) {
	put := func(name, value string) {
		if old := env.get(name); old != "" && old != value && !bridgeToken(old) {
			changed = append(changed, name)
		}
		env.put(name, value)
	}
	drop := func(names []string) {
		for _, name := range names {
			if old := env.get(name); old != "" && !bridgeToken(old) {
				removed = append(removed, name)
			}
			env.drop(name)
		}
	}
	for _, provider := range a.held {
		s := sdkOf(provider)
		if provider == "anthropic" && a.keyed {
			s.keys, s.twins = s.twins, s.keys
		}
		if provider == "openai" && a.codex {
			s.keys = append(s.keys[:len(s.keys):len(s.keys)], "CODEX_API_KEY")
		}
		drop(s.stray)
		drop(s.twins)
		if !a.permits(provider) {
			drop(s.keys)
			continue
		}
		for _, name := range s.rooted {
			put(name, gateway)
		}
		for _, name := range s.v1 {
			put(name, gateway+"/v1")
		}
		for _, name := range s.v1beta {
			put(name, gateway+"/v1beta")
		}
		for _, name := range s.keys {
			put(name, token)
		}
	}
	for _, name := range agentModels[a.agent] {
		put(name, a.models()[name])
	}
	return changed, removed
}

// bridgeToken tells what Hostless itself put into an environment.
func bridgeToken(value string) bool { return strings.HasPrefix(value, "sk_local_") }

// permits mirrors the token's own rule: an exact name or a *-suffix glob.
func (a aiEnv) permits(provider string) bool {
	if a.agent != "" && provider == agentSDK[a.agent] {
		return true // the model decides where its requests go
	}
	for _, rule := range a.allowed {
		if prefix, glob := strings.CutSuffix(rule, "*"); rule == provider || glob && strings.HasPrefix(provider, prefix) {
			return true
		}
	}
	return len(a.allowed) == 0
}
