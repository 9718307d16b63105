package keys_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/secret"
)

func newStore(t *testing.T, text string, now func() time.Time) (*keys.Store, string, []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.env")
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, warnings, err := keys.New(keys.Config{Path: path, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s, path, warnings
}

func TestReadsHandWrittenFile(t *testing.T) {
	s, _, warnings := newStore(t, strings.Join([]string{
		"# my keys",
		"HOSTLESS_KEY_OPENAI=sk-plain",
		"  export HOSTLESS_KEY_GROQ = \"gsk # \\\"x\\\" \\$y\" # mine",
		"HOSTLESS_KEY_MISTRAL='with $dollar \\ = #'",
		"HOSTLESS_KEY_XAI=a=b#c  # comment\r",
		"HOSTLESS_BASE_URL_OLLAMA=http://127.0.0.1:11434",
		"HOSTLESS_KEY_MY_LLM=k1",
		"HOSTLESS_KEY_MY__LLM=k2",
		"HOSTLESS_DIALECT_MY_LLM=anthropic",
		"HOSTLESS_BASE_URL_MY_LLM=https://10.0.0.1/v1",
		"HOSTLESS_ALLOW_PRIVATE_MY_LLM=true",
		"OTHER=1",
		"what is this",
		"HOSTLESS_KEY_BROKEN=\"unclosed-secret",
		"HOSTLESS_KEY_NOEQUALS secret",
		"HOSTLESS_BASE_URL_BADURL=ftp://x",
		"",
	}, "\n"), nil)
	for provider, want := range map[string]string{
		"openai": "sk-plain", "groq": `gsk # "x" $y`, "mistral": `with $dollar \ = #`, "xai": "a=b#c",
		"ollama": "", "my-llm": "k1", "my_llm": "k2",
	} {
		e, err := s.Get(t.Context(), provider)
		if err != nil || e.Key.Reveal() != want {
			t.Errorf("Get(%q) = %q, %v; want %q", provider, e.Key.Reveal(), err, want)
		}
	}
	if e, _ := s.Get(t.Context(), "my-llm"); e.Dialect != "anthropic" || !e.AllowPrivate || e.BaseURL != "https://10.0.0.1/v1" || e.Storage != "file" {
		t.Errorf("custom provider: %+v", e)
	}
	if len(warnings) != 4 || strings.Contains(fmt.Sprint(warnings), "secret") {
		t.Errorf("warnings: %q", warnings)
	}
	_, err := s.Get(t.Context(), "anthropic")
	if !fault.Is(err, fault.Unconfigured) || !strings.Contains(err.Error(), "hostless keys add anthropic") {
		t.Errorf("missing: %v", err)
	}
}

func TestPutKeepsForeignLines(t *testing.T) {
	text := "# top\nHOSTLESS_KEY_OPENAI=old\n\nFOO=bar # mine\nHOSTLESS_KEY_BROKEN=\"x\n"
	s, path, _ := newStore(t, text, nil)
	for _, e := range []keys.Entry{
		{Provider: "openai", Key: secret.New("  new key's \"#\" \n")},
		{Provider: "local", BaseURL: "http://localhost:8000/v1", AllowPrivate: true},
	} {
		if _, _, err := s.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(path)
	want := "# top\nHOSTLESS_KEY_OPENAI=\"new key's \\\"#\\\"\"\n\nFOO=bar # mine\nHOSTLESS_KEY_BROKEN=\"x\nHOSTLESS_BASE_URL_LOCAL=http://localhost:8000/v1\nHOSTLESS_ALLOW_PRIVATE_LOCAL=1\n"
	if string(got) != want {
		t.Errorf("file:\n%s\nwant:\n%s", got, want)
	}
	if e, err := s.Get(t.Context(), "openai"); err != nil || e.Key.Reveal() != `new key's "#"` {
		t.Errorf("Get = %q, %v", e.Key.Reveal(), err)
	}
	if err := s.Delete(t.Context(), "openai", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "openai", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("second delete: %v", err)
	}
	if err := s.Delete(t.Context(), "broken", keys.AllLabels); err != nil {
		t.Errorf("a broken line can be removed: %v", err)
	}
	got, _ = os.ReadFile(path)
	if want := "# top\n\nFOO=bar # mine\nHOSTLESS_BASE_URL_LOCAL=http://localhost:8000/v1\nHOSTLESS_ALLOW_PRIVATE_LOCAL=1\n"; string(got) != want {
		t.Errorf("file:\n%s\nwant:\n%s", got, want)
	}
}

func TestRuinedFileIsKeptAside(t *testing.T) {
	for _, text := range []string{"\x00\x01garbage", "{\"openai\": \"sk\"}", "HOSTLESS_KEY_A=\xff\xfe", "<html>\n\n</html>"} {
		s, path, warnings := newStore(t, text, nil)
		aside, _ := filepath.Glob(path + ".corrupt-*")
		if len(aside) != 1 || len(warnings) != 1 {
			t.Errorf("%q: kept %v, warnings %q", text, aside, warnings)
			continue
		}
		if got, _ := os.ReadFile(aside[0]); string(got) != text {
			t.Errorf("kept %q, want %q", got, text)
		}
		if _, _, err := s.Put(t.Context(), keys.Entry{Provider: "a", Key: secret.New("k")}); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{"# only a comment\nwhat", "HOSTLESS_KEY_OPENAI sk-x", "", "\n\n"} {
		_, path, _ := newStore(t, text, nil)
		if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) != 0 {
			t.Errorf("%q was moved away", text)
		}
	}
}

// TestGarbageLine: if a crash or another program leaves binary data in the file, the
// other lines stay in use and a copy of the file is kept.
func TestGarbageLine(t *testing.T) {
	for _, garbage := range []string{"\x00\x00\x00\x00", "\xff\xfe garbage", "HOSTLESS_KEY_B=\xff", "HOSTLESS_KEY_B=x\x00y"} {
		text := "# mine\nHOSTLESS_KEY_A=1\n" + garbage + "\nHOSTLESS_KEY_C=3\n"
		var log bytes.Buffer
		path := filepath.Join(t.TempDir(), "keys.env")
		os.WriteFile(path, []byte(text), 0o600)
		s, warnings, err := keys.New(keys.Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil || len(warnings) != 2 || !strings.Contains(log.String(), "is kept as") {
			t.Errorf("%q: %v, warnings %q, log %s", garbage, err, warnings, log.String())
		}
		for provider, want := range map[string]string{"a": "1", "c": "3"} {
			if e, err := s.Get(t.Context(), provider); err != nil || e.Key.Reveal() != want {
				t.Errorf("%q: %s = %q, %v; want %q", garbage, provider, e.Key.Reveal(), err, want)
			}
		}
		kept, _ := filepath.Glob(path + ".corrupt-*")
		if len(kept) != 1 {
			t.Errorf("%q: kept %v", garbage, kept)
			continue
		}
		if got, _ := os.ReadFile(kept[0]); string(got) != text {
			t.Errorf("kept %q, want %q", got, text)
		}
		if info, _ := os.Stat(kept[0]); info.Mode().Perm() != 0o600 {
			t.Errorf("mode of what is kept: %v", info.Mode())
		}
		if got, _ := os.ReadFile(path); string(got) != "# mine\nHOSTLESS_KEY_A=1\nHOSTLESS_KEY_C=3\n" {
			t.Errorf("%q left %q", garbage, got)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	s, path, _ := newStore(t, "", nil)
	for name, e := range map[string]keys.Entry{
		"upper case":      {Provider: "OpenAI", Key: secret.New("k")},
		"path":            {Provider: "../x", Key: secret.New("k")},
		"double dash":     {Provider: "a--b", Key: secret.New("k")},
		"dash underscore": {Provider: "a-_b", Key: secret.New("k")},
		"newline":         {Provider: "a", Key: secret.New("k\nHOSTLESS_KEY_B=x")},
		"control":         {Provider: "a", Key: secret.New("k\x01")},
		"not ASCII":       {Provider: "a", Key: secret.New("clé")},
		"nothing":         {Provider: "a"},
		"scheme":          {Provider: "a", BaseURL: "file:///etc"},
		"user":            {Provider: "a", BaseURL: "https://u:p@h/"},
		"query":           {Provider: "a", BaseURL: "https://h/?k=v"},
		"dialect":         {Provider: "a", Key: secret.New("k"), Dialect: "klingon"},
		"reference":       {Provider: "a", Reference: "http://x"},
		"label":           {Provider: "a", Label: "A B", Key: secret.New("k")},
	} {
		if _, _, err := s.Put(t.Context(), e); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("a refused key created a file")
	}
}

func TestFollowsEditsByHand(t *testing.T) {
	now := time.Now()
	s, path, _ := newStore(t, "HOSTLESS_KEY_A=1\n", func() time.Time { return now })
	os.WriteFile(path, []byte("HOSTLESS_KEY_A=22\nHOSTLESS_KEY_B=3\n"), 0o600)
	if e, _ := s.Get(t.Context(), "a"); e.Key.Reveal() != "1" {
		t.Errorf("within a second the file must not be read, but the key is %q", e.Key.Reveal())
	}
	now = now.Add(time.Second)
	if e, _ := s.Get(t.Context(), "a"); e.Key.Reveal() != "22" {
		t.Errorf("after a second: %q", e.Key.Reveal())
	}
	os.WriteFile(path, []byte("HOSTLESS_KEY_A=4\n"), 0o600)
	if _, _, err := s.Put(t.Context(), keys.Entry{Provider: "c", Key: secret.New("5")}); err != nil {
		t.Fatal(err)
	}
	list, _, _ := s.List(t.Context())
	if len(list) != 2 || list[0].Key.Reveal() != "4" || list[1].Key.Reveal() != "5" {
		t.Errorf("an edit by hand was lost: %+v", list)
	}
	os.Chmod(path, 0o644)
	now = now.Add(time.Second)
	s.Get(t.Context(), "a")
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("readable by others, and not corrected: %v", info.Mode())
	}
	os.Remove(path)
	now = now.Add(time.Second)
	if _, err := s.Get(t.Context(), "a"); !fault.Is(err, fault.Unconfigured) {
		t.Errorf("after removal: %v", err)
	}
}

// TestRuinedWhileRunning: if a manual edit breaks the file, the keys stay in use.
func TestRuinedWhileRunning(t *testing.T) {
	now := time.Now()
	s, path, _ := newStore(t, "# mine\nHOSTLESS_KEY_A=1\nHOSTLESS_BASE_URL_A=https://a.example/v1\n", func() time.Time { return now })
	const ruin = "\xff\xfeH\x00O\x00"
	os.WriteFile(path, []byte(ruin), 0o600)
	now = now.Add(time.Second)
	holds := func(s *keys.Store, when string) {
		t.Helper()
		if e, err := s.Get(t.Context(), "a"); err != nil || e.Key.Reveal() != "1" || e.BaseURL != "https://a.example/v1" {
			t.Errorf("%s: %+v, %v", when, e, err)
		}
	}
	holds(s, "on use")
	if warnings, err := s.Reload(); !fault.Is(err, fault.Invalid) || len(warnings) != 1 {
		t.Errorf("reload: %q, %v", warnings, err)
	}
	holds(s, "after reload")
	if got, _ := os.ReadFile(path); string(got) != ruin {
		t.Errorf("the file was changed under its editor to %q", got)
	}
	if _, _, err := s.Put(t.Context(), keys.Entry{Provider: "b", Key: secret.New("2")}); err != nil {
		t.Fatal(err)
	}
	again, warnings, err := keys.New(keys.Config{Path: path})
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	holds(again, "after a change")
	if list, _, _ := again.List(t.Context()); len(list) != 2 {
		t.Errorf("%d keys, want 2", len(list))
	}
	if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) != 1 {
		t.Errorf("aside: %v", aside)
	}
}

func TestHint(t *testing.T) {
	for key, want := range map[string]string{"short-key-of-19-char": "char", "short": "", "": "", "sk-0123456789abcdefWXYZ": "WXYZ", "1234567890123456789": ""} {
		if got := (keys.Entry{Key: secret.New(key)}).Hint(); got != want {
			t.Errorf("Hint(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestConcurrentPuts(t *testing.T) {
	s, path, _ := newStore(t, "", nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, _, err := s.Put(context.Background(), keys.Entry{Provider: fmt.Sprintf("p%d", i), Key: secret.New("k")}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	again, warnings, err := keys.New(keys.Config{Path: path})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if list, _, _ := again.List(t.Context()); len(list) != 20 {
		t.Errorf("%d keys, want 20", len(list))
	}
}

// BenchmarkGet measures what each request of the gateway does.
func BenchmarkGet(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keys.env")
	os.WriteFile(path, []byte("HOSTLESS_KEY_OPENAI=sk-0123456789\nHOSTLESS_KEY_GROQ=gsk-0123456789\n"), 0o600)
	s, _, err := keys.New(keys.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "openai"); err != nil {
			b.Fatal(err)
		}
	}
}
