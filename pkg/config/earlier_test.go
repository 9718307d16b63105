package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/config"
)

// TestEarlierMembers reads a config.json written by a version before 1.0.
func TestEarlierMembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write := func(text string) *config.Settings {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, warnings, err := config.OpenSettings(config.SettingsConfig{Path: path})
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		return s
	}
	s := write(`{"allowed_origins":["https://a.example"],"token_persistence":"file","provider_urls":{"groq":"https://g.example/v1"},
		"ollama_api_models":{"groq":[{"id":"llama","context_window":131072,"capabilities":["completion","tools"]},"plain",{"name":"groq/named"},{}],"a":[]}}`)
	if s.TokenPersistence() != "file" || !s.Chosen("token-persistence") || s.ProviderURL("groq") != "https://g.example/v1" || s.ProviderURL("openai") != "" {
		t.Errorf("persistence %q, url %q", s.TokenPersistence(), s.ProviderURL("groq"))
	}
	want := []config.OllamaModel{{Name: "groq/llama", Context: 131072, Capabilities: []string{"completion", "tools"}}, {Name: "groq/plain"}, {Name: "groq/named"}}
	if diff := cmp.Diff(want, s.OllamaModels()); diff != "" {
		t.Error(diff)
	}
	// The current name takes precedence, and replaces the earlier one when it is set.
	if s := write(`{"token_persistence":"file","token-persistence":"off"}`); s.TokenPersistence() != "off" {
		t.Errorf("both names: %q", s.TokenPersistence())
	}
	for value, want := range map[string]string{`"keychain"`: "keychain", `null`: "off"} {
		s = write(`{"token_persistence":"file","mine":1}`)
		if err := s.Patch(map[string]json.RawMessage{"token-persistence": json.RawMessage(value)}); err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(path)
		if s.TokenPersistence() != want || strings.Contains(string(data), "token_persistence") || !strings.Contains(string(data), "mine") {
			t.Errorf("set to %s: %q in %s", value, s.TokenPersistence(), data)
		}
	}
}
