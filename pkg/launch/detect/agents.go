package detect

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
)

// codexRuns reports whether Codex with these arguments uses a model of the openai
// provider, to which openai_base_url applies.
func codexRuns(args []string) bool {
	for i, a := range args {
		if a == "--" {
			break
		}
		if a == "--oss" || strings.HasPrefix(a, "--local-provider") {
			return false
		}
		value := strings.TrimPrefix(strings.TrimPrefix(a, "--config="), "-c")
		if (a == "-c" || a == "--config") && i+1 < len(args) {
			value = args[i+1]
		}
		if strings.HasPrefix(value, "openai_base_url") || strings.HasPrefix(value, "model_provider") {
			return false // the user has chosen
		}
	}
	return !slices.Contains(codexOthers, subcommand(args))
}

// codexOthers are the subcommands that use no model.
var codexOthers = w("login", "logout", "mcp", "mcp-server", "app-server", "completion", "sandbox", "debug", "apply", "a", "cloud", "features", "help", "update", "plugin", "execpolicy", "doctor")

// WithCodexBaseURL adds Codex's setting openai_base_url to a command line, and the model
// if it is not "" and the line names none. ok is false if the line does not start a Codex
// that needs the setting, or if arguments cannot be added to it.
func WithCodexBaseURL(f Files, dir string, args []string, baseURL, model string) (line []string, ok bool) {
	found, ok := (&resolver{files: f}).resolve(dir, args)
	if !ok || found.tool != "codex" {
		return nil, false
	}
	words := w("-c", "openai_base_url="+strconv.Quote(baseURL))
	if model != "" && !namesModel(found.args) {
		words = append(words, "-m", model)
	}
	return found.insert(words)
}

// WithOpencodeModel adds a model to a command line of opencode, as its configuration names
// it. ok is false if the line does not start opencode with a model, if it names one itself,
// or if arguments cannot be added to it.
func WithOpencodeModel(f Files, dir string, args []string, model string) (line []string, ok bool) {
	found, ok := (&resolver{files: f}).resolve(dir, args)
	if !ok || found.tool != "opencode" || namesModel(found.args) {
		return nil, false
	}
	if sub := subcommand(found.args); sub != "" && sub != "run" && !strings.ContainsAny(sub, "./") {
		return nil, false // opencode alone takes a directory
	}
	return found.insert(w("-m", model))
}

// namesModel reports whether an agent's arguments name a model.
func namesModel(args []string) bool {
	for _, a := range args {
		switch {
		case a == "--":
			return false
		case a == "-m", a == "--model", strings.HasPrefix(a, "--model="), strings.HasPrefix(a, "-m="), strings.HasPrefix(a, "model="):
			return true
		}
	}
	return false
}

// Agents returns the names of the coding agents that Plan knows.
func Agents() []string { return slices.Clone(agents) }

// keyReaders are packages that read ANTHROPIC_API_KEY but not ANTHROPIC_AUTH_TOKEN.
var keyReaders = w("@ai-sdk/anthropic", "@langchain/anthropic", "langchain-anthropic", "litellm", "pydantic-ai", "llama-index-llms-anthropic", "aider-chat")

// ReadsAnthropicKey reports whether the tool, or a package that the project at dir
// depends on, reads ANTHROPIC_API_KEY only. Anthropic's own SDKs and Claude Code also
// read ANTHROPIC_AUTH_TOKEN.
func ReadsAnthropicKey(f Files, dir, tool string) bool {
	switch tool {
	case "claude":
		return false
	case "aider", "opencode":
		return true
	}
	for at := dir; ; at = path.Dir(at) {
		if data, ok := f.read(path.Join(at, "package.json")); ok {
			var m struct{ Dependencies, DevDependencies map[string]any }
			if json.Unmarshal(data, &m) == nil {
				for _, name := range keyReaders {
					if m.Dependencies[name] != nil || m.DevDependencies[name] != nil {
						return true
					}
				}
			}
		}
		for _, file := range w("pyproject.toml", "requirements.txt") {
			if text := f.text(path.Join(at, file)); text != "" && slices.ContainsFunc(keyReaders, func(name string) bool { return strings.Contains(text, name) }) {
				return true
			}
		}
		if at == "/" || f.exists(path.Join(at, ".git")) {
			return false
		}
	}
}

// DependsOn reports whether the package at dir has a dependency of that name.
func DependsOn(f Files, dir, name string) bool {
	data, ok := f.read(path.Join(dir, "package.json"))
	var m struct{ Dependencies, DevDependencies map[string]any }
	if !ok || json.Unmarshal(data, &m) != nil {
		return false
	}
	return m.Dependencies[name] != nil || m.DevDependencies[name] != nil
}
