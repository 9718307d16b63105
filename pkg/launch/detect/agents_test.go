package detect

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestCodex(t *testing.T) {
	const flag = ` -c openai_base_url="http://g/v1"`
	for _, tt := range []struct{ in, want string }{
		{"codex", "codex" + flag},
		{"codex exec -m gpt-5 hello", "codex exec -m gpt-5 hello" + flag},
		{"npx @openai/codex@latest exec hi", "npx @openai/codex@latest exec hi" + flag},
		{"node /x/node_modules/@openai/codex/bin/codex.js exec hi", "node /x/node_modules/@openai/codex/bin/codex.js exec hi" + flag},
		{"codex exec -- -odd", "codex exec" + flag + " -- -odd"},
		{"codex -c openai_base_url=http://own exec x", ""},
		{"codex --config=model_provider=mine exec x", ""},
		{"codex login", ""},
		{"codex mcp list", ""},
		{"codex --version", "codex --version" + flag},
		{"vite", ""},
	} {
		args := strings.Fields(tt.in)
		p := Plan(Files{fstest.MapFS{}}, "/p", args, 4001)
		if p.Tool != "codex" {
			if tt.want != "" {
				t.Errorf("%s: tool %q", tt.in, p.Tool)
			}
			continue
		}
		line, _ := WithCodexBaseURL(Files{fstest.MapFS{}}, "/p", p.Args, "http://g/v1", "")
		if got := strings.Join(line, " "); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

// TestCodexModel checks that the model is added if the line names none.
func TestCodexModel(t *testing.T) {
	for in, want := range map[string]string{
		"codex exec hi": "codex exec hi -c openai_base_url=\"http://g/v1\" -m m/x", "codex exec -m own hi": "codex exec -m own hi -c openai_base_url=\"http://g/v1\"",
		"codex -c model=own": "codex -c model=own -c openai_base_url=\"http://g/v1\"", "codex exec -- -m": "codex exec -c openai_base_url=\"http://g/v1\" -m m/x -- -m",
	} {
		line, _ := WithCodexBaseURL(Files{fstest.MapFS{}}, "/p", strings.Fields(in), "http://g/v1", "m/x")
		if got := strings.Join(line, " "); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestReadsAnthropicKey(t *testing.T) {
	for _, tt := range []struct {
		name, file, text, tool string
		want                   bool
	}{
		{"nothing", "package.json", `{"dependencies":{"next":"16"}}`, "next", false},
		{"the AI SDK", "package.json", `{"dependencies":{"@ai-sdk/anthropic":"^3"}}`, "next", true},
		{"of development", "package.json", `{"devDependencies":{"@langchain/anthropic":"1"}}`, "", true},
		{"claude in such a project", "package.json", `{"dependencies":{"@ai-sdk/anthropic":"^3"}}`, "claude", false},
		{"aider", "x", "", "aider", true},
		{"requirements", "requirements.txt", "langchain-anthropic==1\n", "", true},
		{"pyproject", "pyproject.toml", "dependencies = [\"anthropic\"]", "", false},
	} {
		f := Files{fstest.MapFS{"p/" + tt.file: {Data: []byte(tt.text)}, "p/.git/HEAD": {Data: []byte("ref: refs/heads/main")}}}
		if got := ReadsAnthropicKey(f, "/p", tt.tool); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWithOpencodeModel(t *testing.T) {
	for line, want := range map[string]string{
		"opencode": "opencode -m hostless/m", "opencode run hi": "opencode run hi -m hostless/m", "opencode ./app": "opencode ./app -m hostless/m",
		"opencode run -m own/x hi": "", "opencode auth login": "", "claude": "",
	} {
		got, _ := WithOpencodeModel(Files{}, "/", strings.Fields(line), "hostless/m")
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
