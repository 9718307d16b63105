package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hostless/hostless/test/harness"
)

// TestOutputFits runs each command that lists something, over a daemon with something in
// every list, at three widths: no line is wider than the terminal, but for a single word
// and a command to copy.
func TestOutputFits(t *testing.T) {
	d := harness.Start(t)
	t.Cleanup(func() { d.CLI("stop", "--all") })
	for _, line := range []string{
		"alias shop 3000", "alias api.shop 4000", "alias shop --path /api 4000", "alias a-rather-long-name.some-project unix:/tmp/a/rather/long/path/of/an/app.sock",
		"run worker --detach -- sleep 600", "run lazy --lazy --detach -- python3 -m http.server",
		"keys add openai sk-proj-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "keys add mine --label work --base-url http://127.0.0.1:9/v1 x123",
		"token create --name notebook --origin http://web.localhost:48282 --providers openai,anthropic --models gpt-4o-mini,claude-*", "token create --ttl 7d", "token create --ttl never",
		"budget set 5usd/day --all", "budget set 200000tokens/week --app a-rather-long-name", "model alias fast openai/gpt-4o-mini,anthropic/claude-haiku-4-5", "origins add https://app.example.com",
	} {
		d.Must(strings.Fields(line)...)
	}
	token := d.Must("token", "create", "--name", "test")
	for _, model := range []string{"echo/text", "nope/a-model-with-a-long-name", "echo/text"} {
		req, err := http.NewRequest("POST", "http://localhost:"+d.Port+"/v1/chat/completions", strings.NewReader(`{"model":"`+model+`","messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	env := d.Env
	for _, width := range []int{60, 80, 120} {
		d.Env = append(env[:len(env):len(env)], fmt.Sprint("COLUMNS=", width))
		for _, command := range []string{
			"list", "route list", "alias list", "token list", "doctor", "doctor --security", "status", "log", "spend", "budget list", "keys list", "model list", "origins list", "config list",
			"hosts status", "audit", "approvals", "command list", "prices", "service status", "--help",
		} {
			r := d.CLI(strings.Fields(command)...)
			for line := range strings.Lines(r.Stdout) {
				line = strings.TrimSuffix(line, "\n")
				if utf8.RuneCountInString(line) > width && strings.Contains(lastField(line), " ") && !strings.Contains(line, "→ ") {
					t.Errorf("%s at %d: %s", command, width, line)
				}
			}
		}
	}
	for width, want := range map[int]string{60: "\nlazy\n  url ", 80: "\nlazy      ", 120: "python3 -m http.server"} {
		d.Env = append(env[:len(env):len(env)], fmt.Sprint("COLUMNS=", width))
		d.CLI("alias", "remove", "a-rather-long-name.some-project")
		if out := d.Must("list"); !strings.Contains(out, want) || !strings.Contains(out, "idle") {
			t.Errorf("the list at %d:\n%s\nwants %q", width, out, want)
		}
	}
}

// lastField is what follows the last gap between columns.
func lastField(line string) string {
	line = strings.TrimSpace(line)
	if i := strings.LastIndex(line, "  "); i >= 0 {
		return strings.TrimSpace(line[i:])
	}
	return line
}
