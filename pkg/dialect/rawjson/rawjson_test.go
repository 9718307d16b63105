package rawjson_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

func TestObjectKeepsWhatItIsGiven(t *testing.T) {
	const in = ` { "b" : 1.50e+3 , "a":"<é\u00e9>", "b":[ 1 ,2]}`
	o, ok := rawjson.Members(json.RawMessage(in))
	if !ok {
		t.Fatal("not recognized as an object")
	}
	if got, want := string(o.JSON()), `{"b":1.50e+3,"a":"<é\u00e9>","b":[ 1 ,2]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o.Put("b", json.RawMessage("null"))
	o.Put("c", nil)
	o.PutText("d", "<\n>")
	if got, want := string(o.JSON()), `{"b":null,"a":"<é\u00e9>","b":[ 1 ,2],"d":"<\n>"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{"", "null", "[]", `{"a":}`, `{"a":1`, `{1:2}`} {
		if o, ok := rawjson.Members(json.RawMessage(bad)); ok {
			t.Errorf("Members(%q) = %v, true", bad, o)
		}
	}
}

func TestValues(t *testing.T) {
	for in, want := range map[string]string{`{"a": [1, 2.0] }`: `{"a":[1,2.0]}`, `"a b"`: `"a b"`, "tru": "null", "": "null", "1.0": "1.0"} {
		if got := string(rawjson.Compact(json.RawMessage(in))); got != want {
			t.Errorf("Compact(%s) = %s, want %s", in, got, want)
		}
	}
	if rawjson.Set(json.RawMessage("null")) != nil || rawjson.Set(nil) != nil || string(rawjson.Set(json.RawMessage("0"))) != "0" {
		t.Error("Set confuses null with another value")
	}
	if list, ok := rawjson.Elements(json.RawMessage(" [1.0, {}]")); !ok || string(rawjson.Array(list)) != `[1.0,{}]` {
		t.Errorf("Elements = %s, %v", list, ok)
	}
	for _, bad := range []string{"", "{}", "[1", "null"} {
		if _, ok := rawjson.Elements(json.RawMessage(bad)); ok {
			t.Errorf("Elements(%q) is ok", bad)
		}
	}
	if s, ok := rawjson.Text(json.RawMessage(`"a\u00e9"`)); !ok || s != "aé" {
		t.Errorf("Text = %q, %v", s, ok)
	}
	if _, ok := rawjson.Text(json.RawMessage(`1`)); ok {
		t.Error("Text accepts a number")
	}
	if got := string(rawjson.Must(map[string]any{"a": "<&>"})); got != `{"a":"<&>"}` {
		t.Errorf("Must = %s", got)
	}
	if got := string(rawjson.Must(func() {})); got != "null" {
		t.Errorf("Must = %s for a value without JSON", got)
	}
}

// FuzzScan compares the fast scan of an object's members, and assembling them
// again, with a decoder.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : 1 , "b\"\\":"x\\\"}" , "c":[{"d":"]"},null],"e":true}`, `{"a":{},"b":-1.5e3}`, `{"":"\\\\"}`, "{\"a\"\n:\n[]\n}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !rawjson.IsObject(in) || !json.Valid(in) {
			return
		}
		want, ok := rawjson.Members(in)
		if !ok {
			t.Fatalf("%s is an object", in)
		}
		var got rawjson.Object
		rawjson.Scan(in, func(name string, value json.RawMessage) { got = append(got, rawjson.Member{Name: name, Value: value}) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
		again, ok := rawjson.Members(want.JSON())
		if diff := cmp.Diff(want, again); !ok || diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	})
}

// FuzzString: what is written can be read back, and encoding/json reads the same.
func FuzzString(f *testing.F) {
	f.Add("a <b> & \"c\" \\ \n\t\r\x00\x1f\u2028 \xff ü")
	f.Fuzz(func(t *testing.T, s string) {
		quoted := rawjson.Quote(s)
		got, ok := rawjson.Text(quoted)
		if !ok {
			t.Fatalf("%q became %s", s, quoted)
		}
		var want string
		b, _ := json.Marshal(s)
		json.Unmarshal(b, &want)
		if got != want {
			t.Errorf("%q came back as %q, want %q", s, got, want)
		}
		if bytes.Contains(quoted, []byte(`\u003c`)) && !bytes.Contains([]byte(s), []byte(`u003c`)) {
			t.Errorf("%q was escaped for HTML", s)
		}
	})
}
