package anthropic

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzScan holds the quick scan of an object's members against a decoder's.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : 1 , "b\"\\":"x\\\"}" , "c":[{"d":"]"},null],"e":true}`, `{"a":{},"b":-1.5e3}`, `{"":"\\\\"}`, "{\"a\"\n:\n[]\n}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !isObject(in) {
			return
		}
		want, err := members(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []member
		scan(in, func(name string, value json.RawMessage) { got = append(got, member{name, value}) })
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(member{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	})
}

// FuzzString: what is written reads back, and as encoding/json has it.
func FuzzString(f *testing.F) {
	f.Add("a <b> & \"c\" \\ \n\t\r\x00\x1f\u2028 \xff ü")
	f.Fuzz(func(t *testing.T, s string) {
		var got, want string
		if err := json.Unmarshal(quote(s), &got); err != nil {
			t.Fatalf("%q became %s: %v", s, quote(s), err)
		}
		b, _ := json.Marshal(s)
		json.Unmarshal(b, &want)
		if got != want {
			t.Errorf("%q came back as %q, want %q", s, got, want)
		}
		if bytes.Contains(quote(s), []byte(`\u003c`)) {
			t.Errorf("%q was escaped for HTML", s)
		}
		if back := ownID(safeID(s)); back != s {
			t.Errorf("id %q came back as %q", s, back)
		}
	})
}
