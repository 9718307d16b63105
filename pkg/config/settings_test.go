package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

func openSettings(t *testing.T, text string) (*config.Settings, string, []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if text != "" {
		os.WriteFile(path, []byte(text), 0o600)
	}
	s, warnings, err := config.OpenSettings(config.SettingsConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s, path, warnings
}

func TestSettingsDefaults(t *testing.T) {
	s, path, warnings := openSettings(t, "")
	got := map[string]string{}
	for _, name := range config.Names() {
		got[name], _ = s.Get(name)
	}
	want := map[string]string{
		"port": "48282", "token-persistence": "off", "key-storage": "auto", "stream-usage": "on", "echo": "on",
		"https-redirect": "false", "wildcard-routes": "false", "trusted-proxies": "", "metrics-port": "0", "otlp-endpoint": "off", "log-bodies": "off", "log-bodies-days": "7",
		"tls": "off", "idle-timeout": "off", "linger": "10m", "verbose": "off", "web": "off", "allowed-uids": "", "hosts-sync": "off", "approval-dialog": "on",
		"budget-unpriced": "allow",
		"run-providers":   "", "run-models": "", "run-rate-limit": "0", "tls-cert": "", "tls-key": "", "tld": "",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(warnings) > 0 {
		t.Errorf("defaults (-want +got):\n%s%v", diff, warnings)
	}
	if s.Chosen("token-persistence") || s.TokenPersistence() != "off" || !s.StreamUsage() || !s.EchoEnabled() || s.HTTPSRedirect() ||
		s.WildcardRoutes() || s.Port() != 48282 || s.KeyStorage() != "auto" || s.AllowedOrigins() == nil || s.OllamaModels() == nil {
		t.Error("typed getters do not return the defaults")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("reading created a file")
	}
}

func TestSettingsSet(t *testing.T) {
	tests := []struct {
		name, value, want string // want "" means an error
		says              string
	}{
		{"token-persistence", "file", "file", ""},
		{"token-persistence", "cloud", "", "off, file, keychain"},
		{"key-storage", "keychain", "keychain", ""},
		{"key-storage", "vault", "", "auto, keychain, file"},
		{"token_persistence", "keychain", "keychain", ""},
		{"key-storage", "file", "file", ""},
		{"stream-usage", "off", "off", ""},
		{"stream-usage", "FALSE", "off", ""},
		{"echo", "maybe", "", "on, off"},
		{"https-redirect", "true", "true", ""},
		{"https-redirect", "1", "", "true, false"},
		{"wildcard-routes", "on", "true", ""},
		{"port", "0", "0", ""},
		{"port", "65536", "", "65535"},
		{"port", "", "", "65535"},
		{"port", "-1", "", "65535"},
		{"trusted-proxies", "10.1.2.3/8, ::1", "10.0.0.0/8,::1/128", ""},
		{"trusted-proxies", "10.0.0.0/40", "", "CIDR"},
		{"colour", "red", "", "stream-usage"},
	}
	for _, tt := range tests {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			s, path, _ := openSettings(t, "")
			err := s.Set(tt.name, tt.value)
			if tt.want == "" {
				if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Set = %v, want one that says %q", err, tt.says)
				}
				return
			}
			again, _, openErr := config.OpenSettings(config.SettingsConfig{Path: path})
			if err != nil || openErr != nil {
				t.Fatal(err, openErr)
			}
			if got, _ := again.Get(tt.name); got != tt.want || !again.Chosen(tt.name) {
				t.Errorf("after a restart %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSettingsKeepWhatTheyDoNotKnow(t *testing.T) {
	s, path, warnings := openSettings(t, `{
		"future": {"a": [1, 2.50]}, "port": 1, "echo": "perhaps", "models": {"groq": ["x"]}, "ollama_api_models": ["groq/x"],
		"allowed_origins": ["https://A.example/", "bad", 7], "oauth_clients": {"x": {"id": "y"}}}`)
	if len(warnings) != 3 {
		t.Errorf("warnings: %q", warnings)
	}
	if !s.EchoEnabled() || s.Chosen("echo") || s.Port() != 1 {
		t.Error("an invalid member is in effect, or a valid one is not")
	}
	if err := s.Set("stream-usage", "off"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddOrigin("http://b.example:80"); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveOrigin("https://a.example"); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	data, _ := os.ReadFile(path)
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"future": map[string]any{"a": []any{1.0, 2.5}}, "port": 1.0, "echo": "perhaps", "models": map[string]any{"groq": []any{"x"}},
		"ollama_api_models": []any{"groq/x"}, "allowed_origins": []any{"bad", 7.0, "http://b.example"},
		"oauth_clients": map[string]any{"x": map[string]any{"id": "y"}}, "stream-usage": "off",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"http://b.example"}, s.AllowedOrigins()); diff != "" || s.Models("groq")[0] != "x" || s.OllamaModels()[0].Name != "groq/x" {
		t.Errorf("getters: %s", diff)
	}
}

func TestSettingsPatchIsAllOrNothing(t *testing.T) {
	s, _, _ := openSettings(t, "")
	calls := 0
	s.OnChange(func() { calls++ })
	err := s.Patch(map[string]json.RawMessage{"port": json.RawMessage(`5`), "echo": json.RawMessage(`{}`)})
	if !fault.Is(err, fault.Invalid) || s.Port() != config.DefaultPort || calls != 0 {
		t.Errorf("bad patch: %v, port %d, %d calls", err, s.Port(), calls)
	}
	if err := s.Patch(map[string]json.RawMessage{"port": json.RawMessage(`5`), "echo": json.RawMessage(`false`), "trusted-proxies": json.RawMessage(`["::1/128"]`)}); err != nil {
		t.Fatal(err)
	}
	if s.Port() != 5 || s.EchoEnabled() || len(s.TrustedProxies()) != 1 || calls != 1 {
		t.Errorf("port %d, echo %v, %v, %d calls", s.Port(), s.EchoEnabled(), s.TrustedProxies(), calls)
	}
	if err := s.Patch(map[string]json.RawMessage{"port": json.RawMessage(`null`)}); err != nil || s.Port() != config.DefaultPort || s.Chosen("port") {
		t.Errorf("null: %v, port %d", err, s.Port())
	}
	if got := string(s.Values()["echo"]); got != `"off"` {
		t.Errorf("Values: echo is %s", got)
	}
}

func TestSettingsCorruptFile(t *testing.T) {
	for _, text := range []string{"{half", "null", "[]", "{} {}", "\x00"} {
		s, path, warnings := openSettings(t, text)
		aside, _ := filepath.Glob(path + ".corrupt-*")
		if len(aside) != 1 || len(warnings) != 1 || s.Port() != config.DefaultPort {
			t.Errorf("%q: aside %v, warnings %v", text, aside, warnings)
			continue
		}
		if got, _ := os.ReadFile(aside[0]); string(got) != text {
			t.Errorf("kept %q, want %q", got, text)
		}
	}
}

func TestSettingsReloadTellsWatchers(t *testing.T) {
	s, path, _ := openSettings(t, "")
	calls := 0
	s.OnChange(func() { calls++ })
	if _, err := s.Reload(); err != nil || calls != 0 {
		t.Errorf("nothing changed: %v, %d calls", err, calls)
	}
	os.WriteFile(path, []byte(`{"port":7}`), 0o600)
	if _, err := s.Reload(); err != nil || calls != 1 || s.Port() != 7 {
		t.Errorf("changed: %v, %d calls, port %d", err, calls, s.Port())
	}
}

func TestSettingsConcurrentChanges(t *testing.T) {
	s, path, _ := openSettings(t, "")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := s.AddOrigin(fmt.Sprintf("https://h%d.example", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	again, _, err := config.OpenSettings(config.SettingsConfig{Path: path})
	if err != nil || len(again.AllowedOrigins()) != 20 {
		t.Errorf("%d origins, %v", len(again.AllowedOrigins()), err)
	}
}

func TestNormalizeOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://App.Example": "https://app.example", "https://a:443": "https://a", "http://a:80/": "http://a", "http://a:443": "http://a:443",
		"http://[::1]:3000": "http://[::1]:3000", "http://[0:0::1]": "http://[::1]", "chrome-extension://abcdef": "chrome-extension://abcdef",
		"HTTP://localhost:08080": "http://localhost:8080",
		"*":                      "", "null": "", "": "", "https://": "", "https://a/b": "", "https://a?x": "", "https://u@a": "", "https://a:0": "",
		"https://a:99999": "", "https://a:": "", "a.example": "", "https://*.example": "", "https://a b": "", "http://[::1": "", "http://[::1]x": "",
		"://a": "", "https://a\n": "", "http://a:b:c": "", "https://é.example": "", "1http://a": "",
	} {
		got, err := config.NormalizeOrigin(in)
		if got != want || (want == "") != (err != nil) {
			t.Errorf("NormalizeOrigin(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzNormalizeOrigin(f *testing.F) {
	for _, s := range []string{"https://App.Example:443/", "http://[::1]:80", "chrome-extension://x", "*", "http://a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		once, err := config.NormalizeOrigin(in)
		if err != nil {
			return
		}
		twice, err := config.NormalizeOrigin(once)
		if err != nil || once != twice || strings.ContainsAny(once, "\r\n \"'<>") {
			t.Errorf("%q became %q and then %q, %v", in, once, twice, err)
		}
	})
}

// TestRuinedWhileRunning: if a manual edit breaks the file, the previous settings stay in
// effect.
func TestRuinedWhileRunning(t *testing.T) {
	const good = `{"echo":"off","token-persistence":"file","allowed_origins":["https://a.example"],"ollama_api_models":["x/y"],"mine":1}`
	check := func(s *config.Settings, when string) {
		t.Helper()
		if s.EchoEnabled() || s.TokenPersistence() != "file" || !cmp.Equal(s.AllowedOrigins(), []string{"https://a.example"}) || !cmp.Equal(s.OllamaModels(), []config.OllamaModel{{Name: "x/y"}}) {
			t.Errorf("%s: echo %v, persistence %s, origins %v, ollama %v", when, s.EchoEnabled(), s.TokenPersistence(), s.AllowedOrigins(), s.OllamaModels())
		}
	}
	s, path, _ := openSettings(t, good)
	s.OnChange(func() { check(s, "notified") })
	for _, text := range []string{`{"echo":`, "", "[]", "\x00\x01"} {
		os.WriteFile(path, []byte(text), 0o600)
		warnings, err := s.Reload()
		if !fault.Is(err, fault.Invalid) || len(warnings) != 1 {
			t.Errorf("%q: %v, warnings %v", text, err, warnings)
		}
		check(s, "reload of "+text)
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%q was changed under its editor to %q", text, got)
		}
	}
	os.WriteFile(path, []byte(`{"echo":"maybe","token-persistence":"fiel","allowed_origins":{},"ollama_api_models":5,"mine":1}`), 0o600)
	if warnings, err := s.Reload(); err != nil || len(warnings) != 4 {
		t.Errorf("bad values: %v, warnings %v", err, warnings)
	}
	check(s, "reload of bad values")
	os.WriteFile(path, []byte(good), 0o600)
	s.Reload()
	// A change by a command keeps the broken file aside and loses no setting that was in
	// effect.
	os.WriteFile(path, []byte(`{"echo":`), 0o600)
	if err := s.Set("port", "5000"); err != nil {
		t.Fatal(err)
	}
	check(s, "changed")
	if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) != 1 {
		t.Errorf("aside: %v", aside)
	}
	again, _, err := config.OpenSettings(config.SettingsConfig{Path: path})
	if err != nil || again.Port() != 5000 {
		t.Fatalf("reopened: %v", err)
	}
	check(again, "opened again")
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), `"mine": 1`) {
		t.Errorf("an unknown member is lost: %s", text)
	}
}
