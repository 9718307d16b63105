package token_test

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/token"
)

func TestScope(t *testing.T) {
	tests := []struct {
		name            string
		scope           token.Scope
		provider, model string
		want            bool
	}{
		{"empty reaches all", token.Scope{}, "groq", "x", true},
		{"bare name", token.Scope{Models: []string{"gpt-4o"}}, "openai", "gpt-4o", true},
		{"prefixed name", token.Scope{Models: []string{"openai/gpt-4o"}}, "openai", "gpt-4o", true},
		{"other provider's prefix", token.Scope{Models: []string{"groq/gpt-4o"}}, "openai", "gpt-4o", false},
		{"glob", token.Scope{Models: []string{"gpt-4*"}}, "openai", "gpt-4o-mini", true},
		{"glob of a provider", token.Scope{Models: []string{"openai/*"}}, "openai", "o3", true},
		{"exact is not a prefix", token.Scope{Models: []string{"gpt-4"}}, "openai", "gpt-4o", false},
		{"case counts", token.Scope{Models: []string{"gpt-4o"}}, "openai", "GPT-4o", false},
		{"provider refused", token.Scope{Providers: []string{"groq"}}, "openai", "gpt-4o", false},
		{"provider and model", token.Scope{Providers: []string{"open*"}, Models: []string{"gpt-4o"}}, "openrouter", "gpt-4o", true},
		{"slash in the model", token.Scope{Models: []string{"openrouter/a/b"}}, "openrouter", "a/b", true},
		{"gemini is google", token.Scope{Providers: []string{"gemini"}, Models: []string{"gemini/gemini-2*"}}, "google", "gemini-2.5-pro", true},
		{"star alone", token.Scope{Models: []string{"*"}}, "x", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.scope.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := tt.scope.Model(tt.provider, tt.model); got != tt.want {
				t.Errorf("%+v.Model(%q, %q) = %v", tt.scope, tt.provider, tt.model, got)
			}
		})
	}
	for _, bad := range []string{"", "a*b", "**", "a b", "a\n", strings.Repeat("x", 300)} {
		if err := (token.Scope{Models: []string{bad}}).Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("Validate(%q) = %v", bad, err)
		}
	}
}

func FuzzScope(f *testing.F) {
	f.Add("gpt-4*", "openai", "gpt-4o")
	f.Add("openai/gpt-4o", "openai", "gpt-4o")
	f.Fuzz(func(t *testing.T, pattern, provider, model string) {
		s := token.Scope{Models: []string{pattern}}
		if s.Validate() != nil {
			return
		}
		got := s.Model(provider, model)
		if !got {
			return
		}
		head, glob := strings.CutSuffix(pattern, "*")
		names := []string{model, provider + "/" + model, "gemini/" + model}
		for _, n := range names {
			if n == pattern || (glob && strings.HasPrefix(n, head)) {
				return
			}
		}
		t.Errorf("%q let %q/%q through", pattern, provider, model)
	})
}
