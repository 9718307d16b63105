package launch

import (
	"slices"
	"strings"
)

const (
	anthropicKey   = "ANTHROPIC_API_KEY"
	anthropicToken = "ANTHROPIC_AUTH_TOKEN"
)

// aiEnv describes the variables of AI SDKs to set in the environment of an app.
type aiEnv struct {
	// keyed sets Anthropic's key variable instead of its token variable, for clients that
	// read only the key, such as the AI SDK and LangChain.
	keyed   bool
	codex   bool     // the command is Codex, which reads its own key variable
	held    []string // providers of which Hostless has a key or base URL
	allowed []string // providers in the token's scope: names or *-suffix globs; empty is all
	// agent is the command if it is a coding agent with a --model. The model may be of
	// another provider than the agent's SDK.
	agent, model string
	opens        bool // the command is opencode, which reads a configuration instead of variables
}

// agentSDK maps an agent to the provider whose SDK it uses.
var agentSDK = map[string]string{"claude": "anthropic", "codex": "openai", "gemini": "google", "aider": "openai", "opencode": "openai"}

// agentModels are the variables from which an agent reads its models. Claude Code has
// some for the models behind the names opus, sonnet and haiku, and for its subagents
// (https://code.claude.com/docs/en/model-config).
var agentModels = map[string][]string{
	"claude": {
		"ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL",
		"ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL",
	},
	"gemini": {"GEMINI_MODEL"},
	"aider":  {"AIDER_MODEL", "AIDER_WEAK_MODEL", "AIDER_EDITOR_MODEL"},
}

// useModel makes an agent use a model of any provider. Its SDK is directed to the gateway
// even if Hostless has no key of the SDK's provider.
func (a *aiEnv) useModel(agent, model string) {
	a.agent, a.model = agent, model
	if p := agentSDK[agent]; !slices.Contains(a.held, p) {
		a.held = append(a.held[:len(a.held):len(a.held)], p)
	}
}

// models returns the variables that set the agent's model.
func (a aiEnv) models() map[string]string {
	model := a.model
	if a.agent == "aider" {
		model = "openai/" + model // LiteLLM takes the API from this prefix
	}
	set := map[string]string{}
	for _, name := range agentModels[a.agent] {
		set[name] = model
	}
	return set
}

// sdk lists the variables that the SDKs of one provider read.
type sdk struct {
	rooted []string // base URLs without a version path: the SDK adds it
	v1     []string // base URLs that end in /v1
	v1beta []string // base URLs that end in /v1beta
	keys   []string // keys that are sent to one of these base URLs
	// duplicates are second names of a key. SDKs warn if both are set, and Claude Code
	// asks at each start which one to use, so they are removed.
	duplicates []string
	// undirected keys have no variable that directs their SDK to the gateway. They are
	// removed, and not replaced with the bridge token, which would be sent to the
	// provider.
	undirected []string
}

// sdks maps a provider to its variables. Sources: the SDKs' own documentation;
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
		rooted:     []string{"ANTHROPIC_BASE_URL"},
		keys:       []string{anthropicToken},
		duplicates: []string{anthropicKey},
	},
	"google": {
		rooted: []string{"GOOGLE_GEMINI_BASE_URL"},
		// The AI SDK reads no variable for its base URL: by convention its users pass
		// GOOGLE_GENERATIVE_AI_BASE_URL to createGoogleGenerativeAI.
		v1beta:     []string{"GOOGLE_GENERATIVE_AI_BASE_URL"},
		keys:       []string{"GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"},
		duplicates: []string{"GOOGLE_API_KEY"},
	},
	"ollama": {
		rooted: []string{"OLLAMA_HOST"},
		keys:   []string{"OLLAMA_API_KEY"},
	},
	"azure":       {undirected: []string{"AZURE_OPENAI_API_KEY", "AZURE_API_KEY"}},
	"bedrock":     {undirected: []string{"AWS_BEARER_TOKEN_BEDROCK"}},
	"cohere":      {undirected: []string{"COHERE_API_KEY", "CO_API_KEY"}},
	"huggingface": {undirected: []string{"HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGING_FACE_HUB_TOKEN"}},
	"perplexity":  {undirected: []string{"PERPLEXITY_API_KEY", "PPLX_API_KEY"}},
	"together":    {undirected: []string{"TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY"}},
	"zhipu":       {undirected: []string{"ZHIPU_API_KEY", "ZHIPUAI_API_KEY", "ZAI_API_KEY"}},
}

// sdkOf returns a provider's variables. For a provider that is not in sdks it assumes
// the usual name of a key variable, NAME_API_KEY.
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
	return sdk{undirected: []string{name + "_API_KEY"}}
}

// apply directs the SDKs of every held provider to the gateway with the token, and
// removes provider keys whose SDK it cannot direct there. It returns the names of the
// shell's variables that it changed and removed, except those that held a bridge token.
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
			s.keys, s.duplicates = s.duplicates, s.keys
		}
		if provider == "openai" && a.codex {
			s.keys = append(s.keys[:len(s.keys):len(s.keys)], "CODEX_API_KEY")
		}
		drop(s.undirected)
		drop(s.duplicates)
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
	if a.opens {
		env.put(opencodeConfig, a.opencode(env.get(opencodeConfig), gateway, token))
	}
	return changed, removed
}

// bridgeToken reports whether a value is a bridge token, which Hostless itself has set.
func bridgeToken(value string) bool { return strings.HasPrefix(value, "sk_local_") }

// permits reports whether the token's scope includes a provider, by the token's own
// rule: an exact name or a *-suffix glob.
func (a aiEnv) permits(provider string) bool {
	if a.agent != "" && provider == agentSDK[a.agent] {
		return true // the model determines the provider
	}
	for _, rule := range a.allowed {
		if prefix, glob := strings.CutSuffix(rule, "*"); rule == provider || glob && strings.HasPrefix(provider, prefix) {
			return true
		}
	}
	return len(a.allowed) == 0
}
