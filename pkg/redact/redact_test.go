package redact_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/secret"
)

func redactor(keys ...string) redact.Redactor {
	var list []secret.String
	for _, k := range keys {
		list = append(list, secret.New(k))
	}
	return redact.New(1, list...)
}

// written writes data in pieces: cut at cuts, and after the last cut into pieces of
// n bytes.
func written(r redact.Redactor, data string, sameLength bool, n int, cuts ...int) string {
	var out bytes.Buffer
	w := redact.NewWriter(&out, r, sameLength)
	at := 0
	for at < len(data) {
		size := n
		if len(cuts) > 0 {
			size, cuts = max(1, cuts[0]), cuts[1:]
		}
		end := min(at+max(1, size), len(data))
		piece := []byte(data[at:end])
		if got, err := w.Write(piece); got != len(piece) || err != nil || string(piece) != data[at:end] {
			panic(fmt.Sprintf("Write(%q) = %d, %v and left %q", data[at:end], got, err, piece))
		}
		at = end
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.String()
}

// TestSpellings writes a key in the ways that JSON allows: `=` escaped as Gson
// does, `/` as PHP does, and every character as its code.
func TestSpellings(t *testing.T) {
	const key = "sk-s/ab+9=="
	every := ""
	for i := range len(key) {
		every += fmt.Sprintf(`\u%04X`, key[i])
	}
	for _, spelling := range []string{key, every, strings.ReplaceAll(key, "=", `\u003d`), strings.ReplaceAll(key, "/", `\/`), `\u0073k-\u0073/ab+9==`} {
		data := `{"a":"\n\u4e2d\\` + spelling + `\" sk-s\u002f` + spelling + spelling + `"}`
		want := `{"a":"\n\u4e2d\\[redacted]\" sk-s\u002f[redacted][redacted]"}`
		r := redactor(key)
		in := []byte(data)
		if got := string(r.Bytes(in)); got != want || string(in) != data {
			t.Errorf("Bytes of %s: %s", data, got)
		}
		if got := string(r.Mask(in)); len(got) != len(data) || string(in) != data || strings.Count(got, "[redacted]") != 3 || strings.Contains(got, spelling) {
			t.Errorf("Mask of %s: %s", data, got)
		}
		for cut := range len(data) {
			for _, n := range []int{1, 2, 5000} {
				if got := written(r, data, false, n, cut); got != want {
					t.Errorf("cut after %d, then every %d: %s", cut, n, got)
				}
				if got := written(r, data, true, n, cut); got != string(r.Mask(in)) {
					t.Errorf("masked, cut after %d, then every %d: %s", cut, n, got)
				}
			}
		}
	}
}

func TestWhatIsNotTheKey(t *testing.T) {
	const key = "sk-s/ab+9=="
	r := redactor(key)
	for _, other := range []string{`\\u0073k-s/ab+9==`, `\u0073k-s/ab+8==`, `sk-s\/ab+9\u003`, `\`, `\u`, `\u00zz`, `\u0173k-s/ab+9==`, `sk-s/ab+9=`, "", `\\\\u0073k-s/ab+9==`} {
		if got := r.Bytes([]byte(other)); string(got) != other {
			t.Errorf("%s is not the key, but became %s", other, got)
		}
		for cut := range len(other) {
			if got := written(r, other, false, 1, cut); got != other {
				t.Errorf("%s cut after %d became %s", other, cut, got)
			}
		}
	}
	if got := redactor(`a\b"c`).Bytes([]byte(`x\\\\a\\b\"cy`)); string(got) != `x\\\\[redacted]y` {
		t.Errorf("a key with a backslash: %s", got)
	}
	var zero redact.Redactor
	if in := []byte(key); string(zero.Bytes(in)) != key || string(zero.Mask(in)) != key || zero.Tail(in) != 0 || zero.Contains(key) || zero.String(key) != key || !zero.IsZero() {
		t.Error("the zero value does something")
	}
	if r := redact.New(6, secret.New("short"), secret.String{}); !r.IsZero() {
		t.Error("a key below the minimum counts")
	}
}

// TestEventsAreNotDelayed: nothing of a complete event, line or JSON value is held
// back, and a key is found across any boundary of writes.
func TestEventsAreNotDelayed(t *testing.T) {
	r := redactor("sk-abc\"dun0")
	for _, whole := range []string{"data: {\"x\":\"sk-a\"}\n\n", "{\"done\":true}\n", "data: sk-abc\r\n\r\n", "[1]"} {
		if n := r.Tail([]byte(whole)); n != 0 {
			t.Errorf("%d bytes of %q wait", n, whole)
		}
	}
	for end, want := range map[string]int{"x sk-": 3, `y\u0073`: 6, `y\u00`: 4, `y\`: 1, `y\\`: 0, `y\\\`: 1, `sk-abc\"`: 8, "sk-abd": 0, "ssss": 1} {
		if n := r.Tail([]byte(end)); n != want {
			t.Errorf("Tail(%q) = %d, want %d", end, n, want)
		}
	}
}

func TestSeveralKeys(t *testing.T) {
	r := redactor("first-key", "second/key")
	const in = `first-key second\/key first-kez secon\u0064/key`
	const want = `[redacted] [redacted] first-kez [redacted]`
	if got := string(r.Bytes([]byte(in))); got != want {
		t.Error(got)
	}
	for n := range len(in) {
		if got := written(r, in, false, n+1); got != want {
			t.Errorf("in pieces of %d: %s", n+1, got)
		}
	}
	if got := r.String("Location: second/key"); got != "Location: [redacted]" || !r.Contains("x first-key") || r.Contains("x") {
		t.Error(got)
	}
}

// FuzzWriter: no key passes, nothing else is lost or changed, and cuts make no
// difference.
func FuzzWriter(f *testing.F) {
	const key = "sk-abcabcabd-0/"
	f.Add("x"+key+"y", uint8(5), uint8(1))
	f.Add(`sk-abcsk-abcabcabcabd-0\/`, uint8(1), uint8(1))
	f.Add(`"\\\u0073k-abcabcabd-0\/\\`, uint8(3), uint8(2))
	r := redactor(key)
	f.Fuzz(func(t *testing.T, data string, cut, n uint8) {
		whole := string(r.Bytes([]byte(data)))
		if got := written(r, data, false, int(n), int(cut)); got != whole {
			t.Fatalf("whole %q, in pieces %q", whole, got)
		}
		if masked := written(r, data, true, int(n), int(cut)); len(masked) != len(data) || masked != string(r.Mask([]byte(data))) {
			t.Fatalf("masked %q of %q", masked, data)
		}
		if strings.Contains(whole, key) || !strings.Contains(data, `\`) && whole != strings.ReplaceAll(data, key, secret.Redacted) {
			t.Fatalf("%q became %q", data, whole)
		}
		var decoded, left string
		if json.Unmarshal([]byte(`"`+data+`"`), &decoded) == nil {
			if json.Unmarshal([]byte(`"`+whole+`"`), &left) != nil || strings.Contains(left, key) || left != strings.ReplaceAll(decoded, key, secret.Redacted) {
				t.Fatalf("%q, which means %q, became %q", data, decoded, whole)
			}
		}
	})
}

// BenchmarkClean redacts responses that do not contain the key: JSON with escaped
// code in it, and the events of a stream. The yardstick is one bytes.Count of a
// byte, which reads the text once.
func BenchmarkClean(b *testing.B) {
	line := `\tif err := json.Unmarshal(raw, \u0026v); err != nil { // \"Größe\" \u003c 3\n\t\treturn fmt.Errorf(\"read %q: %w\", name, err)\n`
	text := []byte(strings.Repeat(line, 1<<20/len(line)))
	event := []byte("data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" of the\"},\"finish_reason\":null}]}\n\n")
	r := redactor("sk-proj-4fJ9vQ2LmXw8Zt7RbN5kHc1YpD6sGa3Ue0Ti-oKzVxWqBnMlPjCrEyFdSgHu_A")
	var sink int
	b.Run("yardstick", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			sink += bytes.Count(text, []byte{'q'})
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			sink += len(r.Bytes(text))
		}
	})
	b.Run("event", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			sink += len(r.Bytes(event))
		}
	})
	b.Run("writer", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		w := redact.NewWriter(discard{}, r, false)
		for b.Loop() {
			for at := 0; at < len(text); at += 32 << 10 {
				w.Write(text[at:min(at+32<<10, len(text))])
			}
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
