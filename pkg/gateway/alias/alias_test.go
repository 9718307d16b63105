package alias_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/alias"
)

func TestTargets(t *testing.T) {
	table, problems := alias.New(map[string][]string{
		"fast":              {"gpt-5-mini", "claude-haiku-4-5", "ollama/qwen3"},
		"claude-haiku*":     {"openrouter/qwen/qwen3-coder"},
		"claude-haiku-4*":   {"gpt-5-nano"},
		"claude-haiku-4-5":  {"gemini-2.5-flash"},
		"gpt-5":             {"gpt-5", "fast"},
		"big":               {"gpt-5", "claude-opus-4-5", "gpt-5"},
		"claude-sonnet*":    {"claude-sonnet-4-5"},
		"openai/gpt-4o":     {"mistral/large"},
		"two words":         {"x"},
		"nothing":           nil,
		"a/../b":            {"x"},
		"meta-llama/Llama*": {"groq/llama"},
	}, nil)
	if len(problems) != 3 || !strings.Contains(problems[0], `"a/../b"`) {
		t.Errorf("problems %q", problems)
	}
	for model, want := range map[string]string{
		"fast":                "gpt-5-mini gemini-2.5-flash ollama/qwen3",
		"fast[1m]":            "gpt-5-mini gemini-2.5-flash ollama/qwen3",
		"fast2":               "",
		"Fast":                "",
		"openai/fast":         "",
		"claude-haiku-3":      "openrouter/qwen/qwen3-coder",
		"claude-haiku-4-1":    "gpt-5-nano",
		"claude-haiku-4-5":    "gemini-2.5-flash",
		"gpt-5":               "gpt-5 gpt-5-mini gemini-2.5-flash ollama/qwen3",
		"big":                 "gpt-5 gpt-5-mini gemini-2.5-flash ollama/qwen3 claude-opus-4-5",
		"claude-sonnet-4-5":   "claude-sonnet-4-5",
		"claude-sonnet-3[1m]": "claude-sonnet-4-5",
		"openai/gpt-4o":       "mistral/large",
		"meta-llama/Llama-3":  "groq/llama",
		"":                    "",
	} {
		if got := strings.Join(table.Targets(model), " "); got != want {
			t.Errorf("Targets(%q) = %q, want %q", model, got, want)
		}
	}
	if got, want := table.Names(), []string{"big", "claude-haiku-4-5", "fast", "gpt-5", "openai/gpt-4o"}; !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
	var none *alias.Table
	if none.Targets("fast") != nil || none.Names() != nil {
		t.Error("no table has targets")
	}
}

func TestCheck(t *testing.T) {
	others := map[string][]string{"b": {"c"}, "c": {"gpt-5"}, "p*": {"q1"}}
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprintf("m%d", i)
	}
	for _, tt := range []struct {
		name    string
		targets []string
		want    fault.Kind
		text    string
	}{
		{"a", []string{"b"}, 0, ""},
		{"c", []string{"b"}, fault.Conflict, "cycle"},
		{"c", []string{"gpt-5", "b"}, fault.Conflict, "cycle"},
		{"q*", []string{"p2"}, fault.Conflict, "cycle"},
		{"a", []string{"a"}, fault.Conflict, "itself"},
		{"a", []string{"a", "gpt-5"}, 0, ""},
		{"gpt-5*", []string{"gpt-5-mini"}, 0, ""},
		{"", []string{"x"}, fault.Invalid, "empty"},
		{"*", []string{"x"}, fault.Invalid, "*"},
		{"a*b", []string{"x"}, fault.Invalid, "*"},
		{"a", []string{"x*"}, fault.Invalid, "pattern"},
		{"a", []string{""}, fault.Invalid, "target"},
		{"a", nil, fault.Invalid, "needs"},
		{"a", []string{"x,y"}, fault.Invalid, ","},
		{"a", []string{"x\ny"}, fault.Invalid, "spaces"},
		{"a", []string{"../x"}, fault.Invalid, ".."},
		{"a//b", []string{"x"}, fault.Invalid, "empty segment"},
		{strings.Repeat("a", 257), []string{"x"}, fault.Invalid, "longer"},
		{"a", many, fault.Invalid, "16"},
	} {
		err := alias.Check(others, tt.name, tt.targets)
		if tt.text == "" {
			if err != nil {
				t.Errorf("Check(%q, %q) = %v", tt.name, tt.targets, err)
			}
			continue
		}
		if !fault.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Check(%.20q, %q) = %v, want %q", tt.name, tt.targets, err, tt.text)
		}
	}
}

// TestFor checks that the aliases of a token take precedence over the general ones.
func TestFor(t *testing.T) {
	table, problems := alias.New(map[string][]string{"fast": {"gpt-5-mini"}, "cheap": {"fast"}, "odd": {"own"}}, map[string]map[string][]string{
		"sk_local_00000001": {"fast": {"gpt-5-nano"}, "own": {"ollama/qwen3"}},
		"agent":             {"fast": {"claude-haiku-4-5"}},
		"sk_local_00000002": {"own": {"odd"}},
	})
	if len(problems) != 1 || !strings.Contains(problems[0], "sk_local_00000002") {
		t.Errorf("problems %q", problems)
	}
	for _, tt := range []struct{ prefix, name, model, want string }{
		{"sk_local_00000003", "", "fast", "gpt-5-mini"},
		{"sk_local_00000003", "", "own", ""},
		{"sk_local_00000003", "agent", "fast", "claude-haiku-4-5"},
		{"sk_local_00000003", "agent", "cheap", "claude-haiku-4-5"},
		{"sk_local_00000001", "agent", "own", "ollama/qwen3"},
		{"sk_local_00000001", "", "odd", "ollama/qwen3"},
	} {
		if got := strings.Join(table.For(tt.prefix, tt.name).Targets(tt.model), " "); got != tt.want {
			t.Errorf("%s %s: %s stands for %q, want %q", tt.prefix, tt.name, tt.model, got, tt.want)
		}
	}
	var none *alias.Table
	if none.For("sk_local_00000001", "agent").Targets("fast") != nil {
		t.Error("no table has an alias")
	}
	only, _ := alias.New(nil, map[string]map[string][]string{"agent": {"fast": {"m"}}})
	if only.Targets("fast") != nil || len(only.For("", "agent").Targets("fast")) != 1 || only.For("x", "").Targets("fast") != nil {
		t.Error("an alias of one token holds for others")
	}
}
