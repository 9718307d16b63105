package reqlog

import "strings"

// clients are the programs and SDKs that are recognized by the beginning of their
// User-Agent, in lower case.
var clients = []struct{ prefix, name string }{
	{"claude-cli/", "Claude Code"}, {"claude-code/", "Claude Code"},
	{"codex_cli_rs/", "Codex"}, {"codex_exec/", "Codex"}, {"codex_vscode/", "Codex"}, {"codex-tui/", "Codex"}, {"codex/", "Codex"},
	{"geminicli/", "Gemini CLI"}, {"opencode/", "opencode"}, {"aider/", "aider"}, {"cline/", "Cline"}, {"crush/", "Crush"},
	{"openai/python", "openai-python"}, {"asyncopenai/python", "openai-python"}, {"openai/js", "openai-node"}, {"openai/go", "openai-go"},
	{"openai/java", "openai-java"}, {"openai/ruby", "openai-ruby"},
	{"anthropic/python", "anthropic-python"}, {"asyncanthropic/python", "anthropic-python"}, {"anthropic/js", "anthropic-typescript"},
	{"anthropic/go", "anthropic-go"},
	{"google-genai-sdk/", "google-genai"}, {"ai-sdk/", "AI SDK"}, {"ai/", "AI SDK"}, {"ollama-python/", "ollama-python"}, {"ollama-js/", "ollama-js"},
	{"ollama/", "ollama"}, {"litellm/", "LiteLLM"}, {"langchain", "LangChain"},
	{"curl/", "curl"}, {"python-requests/", "python-requests"}, {"python-httpx/", "python-httpx"}, {"go-http-client/", "Go"},
	{"mozilla/", "browser"},
}

// ClientName returns the name of the client with a User-Agent: a known name,
// otherwise the first product without its version (RFC 9110 section 10.1.5), and ""
// if there is none.
func ClientName(agent string) string {
	agent = strings.TrimSpace(agent)
	lower := strings.ToLower(agent[:min(len(agent), 64)])
	for _, c := range clients {
		if strings.HasPrefix(lower, c.prefix) {
			return c.name
		}
	}
	if strings.Contains(strings.ToLower(agent[:min(len(agent), 400)]), "ai-sdk/") {
		return "AI SDK"
	}
	end := 0
	for end < min(len(agent), 40) && (agent[end] == '-' || agent[end] == '_' || agent[end] == '.' ||
		agent[end] >= '0' && agent[end] <= '9' || agent[end]|0x20 >= 'a' && agent[end]|0x20 <= 'z') {
		end++
	}
	return strings.Clone(agent[:end])
}
