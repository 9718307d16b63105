package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys"
)

// TestProviderURLs checks that config.json sets the base URL of a key of keys.env, but not
// that of a key of the vault, or of one that has its own.
func TestProviderURLs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"provider_urls":{"openai":"https://o.example/v1","ollama":"http://localhost:11434","mine":"http://127.0.0.1:9/v1","groq":"ftp://x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, warnings, err := config.OpenSettings(config.SettingsConfig{Path: path})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	p := providerURLs{s}
	for _, c := range []struct {
		e    keys.Entry
		want string
	}{
		{keys.Entry{Provider: "openai", Storage: keys.StorageFile}, "https://o.example/v1"},
		{keys.Entry{Provider: "openai", Storage: keys.StorageFile, BaseURL: "https://own.example"}, "https://own.example"},
		{keys.Entry{Provider: "openai", Storage: keys.StorageKeychain}, ""},
		{keys.Entry{Provider: "anthropic", Storage: keys.StorageFile}, ""},
	} {
		e := c.e
		if err := p.fill(&e); err != nil || e.BaseURL != c.want {
			t.Errorf("%+v: %q, %v; want %q", c.e, e.BaseURL, err, c.want)
		}
	}
	if err := p.fill(&keys.Entry{Provider: "groq", Storage: keys.StorageFile}); !fault.Is(err, fault.Unconfigured) {
		t.Errorf("a URL that is none: %v", err)
	}
	for name, want := range map[string]bool{"ollama": true, "mine": true, "openai": false, "anthropic": false, "../x": false} {
		if cred, ok, err := p.keyless(name); err != nil || ok != want || ok && cred.BaseURL == "" {
			t.Errorf("%s without a key: %+v, %v, %v", name, cred, ok, err)
		}
	}
	if got := strings.Join(p.add([]string{"openai"}), " "); got != "mine ollama openai" {
		t.Errorf("stored providers: %s", got)
	}
}
