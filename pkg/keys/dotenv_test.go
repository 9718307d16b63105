package keys

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/secret"
)

func TestNamesGoBothWays(t *testing.T) {
	for _, name := range []string{"openai", "my-llm", "my_llm", "a-b_c", "a__b", "x1"} {
		if err := ValidProvider(name); err != nil {
			t.Fatal(err)
		}
		if got := providerName(envName(name)); got != name {
			t.Errorf("%q became %q and then %q", name, envName(name), got)
		}
	}
}

func TestLabelsGoBothWays(t *testing.T) {
	for _, k := range []entryID{
		{"openai", ""}, {"openai", "work"}, {"my-llm", "a-b"}, {"my_llm", "a_b"}, {"x_", "y"}, {"x__", "y__z"}, {"a__b", ""}, {"o", "1"},
	} {
		if err := validID(k); err != nil {
			t.Fatal(k, err)
		}
		if got := entryOf(envSuffix(k)); got != k {
			t.Errorf("%v became %q and then %v", k, envSuffix(k), got)
		}
	}
	for _, k := range []entryID{{"a-", "x"}, {"a", "X"}, {"a", "-x"}, {"a", "x--y"}, {"a", strings.Repeat("x", 33)}} {
		if validID(k) == nil {
			t.Errorf("%v can be stored", k)
		}
	}
}

// FuzzParseEnv: any file can be parsed without losing lines, and entries can be added to
// it.
func FuzzParseEnv(f *testing.F) {
	f.Add([]byte("# c\nHOSTLESS_KEY_A='x'\nexport HOSTLESS_KEY_B=\"y\\n\"\nFOO\n"), "key # '\"$")
	f.Add([]byte("HOSTLESS_BASE_URL_A=http://h\r\n\r\nHOSTLESS_KEY_=\nHOSTLESS_KEY_A"), "k")
	f.Add([]byte("#\x00"), "0") // lines that are not text are kept in the copy aside
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		file, _ := parseEnv(data)
		before, _ := file.entries()
		e, err := Entry{Provider: "canary-x", Key: secret.New(key), Storage: StorageFile}.clean()
		if err != nil {
			return
		}
		out := file.put(e).bytes()
		again, _ := parseEnv(out)
		after, _ := again.entries()
		if got := after[entryID{provider: "canary-x"}]; !got.Key.Equal(e.Key) {
			t.Fatalf("stored %q, read %q from %q", e.Key.Reveal(), got.Key.Reveal(), out)
		}
		for name, b := range before {
			if a := after[name]; name.provider != "canary-x" && (!a.Key.Equal(b.Key) || a.BaseURL != b.BaseURL || a.Dialect != b.Dialect) {
				t.Fatalf("%s changed from %q to %q", name, b.Key.Reveal(), a.Key.Reveal())
			}
		}
		for _, text := range strings.Split(string(data), "\n") {
			if strings.HasPrefix(text, "#") && isText(text) && !bytes.Contains(out, []byte(strings.TrimSuffix(text, "\r"))) {
				t.Fatalf("comment %q was lost", text)
			}
		}
	})
}
