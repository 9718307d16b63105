package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/jsonscan"
)

var samples = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `1.5e+3`, `true`, `false`, `null`, ` { "a" : 1 , "b\"\\":"x\\\"}" , "c":[{"d":"]"},null],"e":true}`,
	`{"a":{},"b":-1.5E3,"a":[[],{}]}`, `{"":"\\\\"}`, "{\"a\"\n:\n[]\n}", `["\u00e9\ud83d\ude00\ud83d \/ \b\f\n\r\t\u0000\u0022\u005c"]`,
	`{"a":}`, `{"a":1`, `{1:2}`, `[1,]`, `{"a":1,}`, `[1 2]`, `01`, `1.`, `1e`, `-`, `+1`, `tru`, `nulll`, `"\x"`, `"\u12g4"`, "\"\n\"", `"`, `"\`, `[}`, `{]`, `{"a" 1}`,
	"\ufeff{}", "\"\xff\"", `{'a':1}`, `{"a":1/**/}`, `{a:1}`, "", " ", `{}x`, "[1]\x00", `{"model":"m","messages":[{"role":"user","content":"long text that fills more than eight bytes \"quoted\" é"}]}`,
}

// TestCheck compares Check with encoding/json.
func TestCheck(t *testing.T) {
	for _, in := range samples {
		if got, want := jsonscan.Check([]byte(in)), json.Valid([]byte(in)) && utf8.ValidString(in); (got == nil) != want {
			t.Errorf("Check(%q) = %v, want valid %v", in, got, want)
		}
	}
	for _, depth := range []int{jsonscan.MaxDepth, jsonscan.MaxDepth + 1} {
		for _, pair := range []string{"[]", "{}"} {
			opening, closing := "[", "]"
			if pair == "{}" {
				opening, closing = `{"a":`, "}"
			}
			in := []byte(strings.Repeat(opening, depth-1) + pair + strings.Repeat(closing, depth-1))
			if got, want := jsonscan.Valid(in), depth <= jsonscan.MaxDepth; got != want {
				t.Errorf("%d nested %s are valid: %v, want %v", depth, pair, got, want)
			}
			var raw struct {
				A json.RawMessage `json:"a"`
			}
			if _, err := jsonscan.Object(in, func([]byte, jsonscan.Span) error { return nil }); pair == "{}" && (err == nil) != (depth <= jsonscan.MaxDepth) {
				t.Errorf("Object with %d nested %s: %v", depth, pair, err)
			}
			if err := jsonscan.Decode(in, &raw); pair == "{}" && (err == nil) != (depth <= jsonscan.MaxDepth) {
				t.Errorf("Decode with %d nested %s: %v", depth, pair, err)
			}
		}
	}
	for in, want := range map[string]string{`{"a":x}`: "syntax error at byte 5", "\"a\xff\"": "invalid UTF-8 at byte 2", `["a`: "unterminated string at byte 3", "[\"\t\"]": "control character in a string at byte 2", `["\x"]`: "invalid escape at byte 2"} {
		if err := jsonscan.Check([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("Check(%q) = %v, want %s", in, err, want)
		}
	}
}

func TestObject(t *testing.T) {
	const in = ` {"a":1, "\u0062":[{"c":2}] ,"a": "x"} `
	var got []string
	closing, err := jsonscan.Object([]byte(in), func(key []byte, v jsonscan.Span) error {
		got = append(got, string(key)+"="+string(v.Of([]byte(in))))
		return nil
	})
	if diff := cmp.Diff([]string{"a=1", `b=[{"c":2}]`, `a="x"`}, got); diff != "" || err != nil || in[closing] != '}' {
		t.Errorf("closing %d, %v (-want +got):\n%s", closing, err, diff)
	}
	stop := errors.New("stop")
	if _, err := jsonscan.Object([]byte(in), func([]byte, jsonscan.Span) error { return stop }); err != stop {
		t.Errorf("the visitor's error came back as %v", err)
	}
	for _, bad := range []string{"", "[]", "null", `{"a":1}x`, `{"a":[}`, "{"} {
		if _, err := jsonscan.Object([]byte(bad), func([]byte, jsonscan.Span) error { return nil }); !errors.Is(err, jsonscan.ErrNotObject) {
			t.Errorf("Object(%q): %v", bad, err)
		}
	}
	if v, ok := jsonscan.Member([]byte(in), "a"); !ok || string(v.Of([]byte(in))) != `"x"` {
		t.Errorf("Member = %v, %v, want the last one", v, ok)
	}
	for n, e := range jsonscan.Elements([]byte(` [ 1 , {"a":[2]}]`)) {
		if want := []string{"1", `{"a":[2]}`}[n]; string(e) != want {
			t.Errorf("element %d is %s, want %s", n, e, want)
		}
	}
}

type inner struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
	Text    jsonscan.String `json:"text"`
	Count   *int64          `json:"count"`
}

type outer struct {
	embedded
	Model    string    `json:"model"`
	Messages []inner   `json:"messages"`
	Stream   bool      `json:"stream"`
	Ratio    *float64  `json:"ratio"`
	Strings  []string  `json:"strings"`
	N        int       `json:"n"`
	One      inner     `json:"one"`
	Other    *inner    `json:"other"`
	F        float64   `json:"f"`
	Deep     []*[]bool `json:"deep"`

	Rest jsonscan.Rest `json:"-"`
}

type embedded struct {
	Stop json.RawMessage `json:"stop"`
}

func TestDecode(t *testing.T) {
	const in = `{"model":"m\u00e9","messages":[{"role":"user","content":[ 1, {"x":"y"}],"text":"a\nb","count":7,"unknown":{"a":[]}},{"text":null}],"stream":true,
		"ratio":1.5e0,"strings":["a","b\\"],"n":-3,"one":{"role":"r"},"other":{"content":"c"},"stop":null,"f":2,"deep":[[true],null],"Model":"other"}`
	var got outer
	if err := jsonscan.Decode([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	count, ratio := int64(7), 1.5
	want := outer{
		embedded: embedded{json.RawMessage("null")}, Model: "mé", Stream: true, Ratio: &ratio, Strings: []string{"a", `b\`}, N: -3, F: 2, Deep: []*[]bool{{true}, nil},
		Messages: []inner{{Role: "user", Content: json.RawMessage(`[ 1, {"x":"y"}]`), Text: jsonscan.String(`"a\nb"`), Count: &count}, {}},
		One:      inner{Role: "r"}, Other: &inner{Content: json.RawMessage(`"c"`)},
		Rest: jsonscan.Rest{{Name: "Model", Value: jsonscan.Lit(`"other"`)}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outer{}, jsonscan.Value{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for in, want := range map[string][2]string{
		`{"model":7}`: {"model", "number"}, `{"messages":{}}`: {"messages", "object"}, `{"messages":[{"role":true}]}`: {"messages.role", "bool"},
		`{"n":1.5}`: {"n", "number 1.5"}, `{"messages":[{"text":[]}]}`: {"messages.text", "array"}, `{"ratio":"x"}`: {"ratio", "string"}, `[]`: {"", "array"},
	} {
		var o outer
		var te *json.UnmarshalTypeError
		if err := jsonscan.Decode([]byte(in), &o); !errors.As(err, &te) || te.Field != want[0] || te.Value != want[1] {
			t.Errorf("Decode(%s) = %v", in, err)
		}
		if want[0] == "messages.text" {
			continue // may be an array of bytes there
		}
		if err := json.Unmarshal([]byte(in), &o); !errors.As(err, &te) || te.Field != want[0] || te.Value != want[1] {
			t.Errorf("encoding/json has another error for %s: %v", in, err)
		}
	}
	var o outer
	if err := jsonscan.Decode([]byte(`{"n":1.5,"model":"m"}`), &o); err == nil || o.Model != "m" {
		t.Errorf("the member after a wrong type was not read: %+v, %v", o, err)
	}
	if err := jsonscan.Decode([]byte(`{"one":{"role":"a"},"one":{"text":"b"}}`), &o); err != nil || o.One.Role != "" {
		t.Errorf("of two members with the same name, a part of the first remained: %+v, %v", o.One, err)
	}
}

func TestStrings(t *testing.T) {
	for in, want := range map[string]bool{`""`: true, `" \n\t\r "`: true, `"\u00a0 "`: true, "\"\u00a0\"": true, `" a"`: false, `"\\"`: false, `"\u0061"`: false, ``: true, `"é"`: false} {
		if got := jsonscan.String(in).Blank(); got != want {
			t.Errorf("Blank(%s) = %v", in, got)
		}
	}
	for in, want := range map[string]string{`"a\/b\n"`: `"a\/b\n"`, `"\u00e9\\u00e9\u000a\u0022"`: `"é\\u00e9\n\""`, `"\ud83d\ude00\ud83d"`: "\"😀\ufffd\"", "\"a\xffb\"": "\"a\ufffdb\"", `""`: `""`} {
		if got := string(jsonscan.AppendString(nil, jsonscan.String(in))); got != want {
			t.Errorf("AppendString(%s) = %s, want %s", in, got, want)
		}
	}
	raw := []byte(`"no escape"`)
	if text, _ := jsonscan.Unquote(raw); &text[0] != &raw[1] {
		t.Error("a string without escapes was copied")
	}
	for _, bad := range []string{``, `1`, `"`, `"a"b`, `"a" `, "\"\x01\""} {
		if s, ok := jsonscan.Text([]byte(bad)); ok {
			t.Errorf("Text(%q) = %q", bad, s)
		}
	}
	for in, want := range map[string]string{`{"a": [1, 2.0] }`: `{"a":[1,2.0]}`, `"a b"`: `"a b"`, "1.0": "1.0", "\t{\r\n}": "{}"} {
		if got := string(jsonscan.Compact([]byte(in))); got != want {
			t.Errorf("Compact(%s) = %s, want %s", in, got, want)
		}
	}
}

// FuzzCheck compares the scanner with encoding/json: validity, each member, each
// string, and what is copied.
func FuzzCheck(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		err := jsonscan.Check(in)
		if err != nil && strings.Contains(err.Error(), "nested") {
			return
		}
		if want := json.Valid(in) && utf8.Valid(in); (err == nil) != want {
			t.Fatalf("Check(%q) = %v, want valid %v", in, err, want)
		}
		var o outer
		decodeErr := jsonscan.Decode(in, &o)
		var syntax *jsonscan.SyntaxError
		if utf8.Valid(in) && errors.As(decodeErr, &syntax) != (err != nil) {
			t.Fatalf("Decode(%q) = %v, and Check %v", in, decodeErr, err)
		}
		for range jsonscan.Members(in) {
		}
		for range jsonscan.Elements(in) {
		}
		jsonscan.AppendCompact(nil, in)
		jsonscan.AppendCompactQuoted(nil, in)
		jsonscan.Text(in)
		if err != nil {
			return
		}
		walk(t, bytes.Trim(in, " \t\r\n"))
	})
}

func walk(t *testing.T, in []byte) {
	var b bytes.Buffer
	json.Compact(&b, in)
	if got := jsonscan.AppendCompact(nil, in); !bytes.Equal(got, b.Bytes()) {
		t.Fatalf("AppendCompact(%s) = %s, want %s", in, got, b.Bytes())
	}
	if got, ok := jsonscan.Text(jsonscan.AppendCompactQuoted(nil, in)); !ok || got != b.String() {
		t.Fatalf("AppendCompactQuoted(%s) = %s, want %s", in, got, b.Bytes())
	}
	switch jsonscan.KindOf(in) {
	case '"':
		var want, again string
		if err := json.Unmarshal(in, &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := jsonscan.Text(in); !ok || got != want {
			t.Fatalf("Text(%s) = %q, want %q", in, got, want)
		}
		copied := jsonscan.AppendString(nil, in)
		if err := json.Unmarshal(copied, &again); err != nil || again != want || !jsonscan.Valid(copied) {
			t.Fatalf("AppendString(%s) = %s: %v", in, copied, err)
		}
		if got := jsonscan.String(in).Blank(); got != (strings.TrimSpace(want) == "") {
			if !strings.ContainsAny(want, "\v\u0085\x1c\x1d\x1e\x1f") {
				t.Fatalf("Blank(%s) = %v", in, got)
			}
		}
	case '{':
		dec := json.NewDecoder(bytes.NewReader(in))
		dec.Token()
		for name, value := range jsonscan.Members(in) {
			key, _ := dec.Token()
			var want json.RawMessage
			if err := dec.Decode(&want); err != nil || key != string(name) || !bytes.Equal(want, value) {
				t.Fatalf("member %s of %s is %s, want %s (%v)", name, in, value, want, err)
			}
			walk(t, value)
		}
		if dec.More() {
			t.Fatalf("members of %s are missing", in)
		}
	case '[':
		var want []json.RawMessage
		json.Unmarshal(in, &want)
		count := 0
		for n, e := range jsonscan.Elements(in) {
			if !bytes.Equal(e, want[n]) {
				t.Fatalf("element %d of %s is %s, want %s", n, in, e, want[n])
			}
			count++
			walk(t, e)
		}
		if count != len(want) {
			t.Fatalf("%d elements of %s, want %d", count, in, len(want))
		}
	}
}

// FuzzQuote: what is written can be read back, and encoding/json reads the same.
func FuzzQuote(f *testing.F) {
	f.Add("a <b> & \"c\" \\ \n\t\r\x00\x1f\u2028 \xff ü")
	f.Fuzz(func(t *testing.T, s string) {
		quoted := jsonscan.Quote(s)
		var want, got string
		b, _ := json.Marshal(s)
		json.Unmarshal(b, &want)
		if err := json.Unmarshal(quoted, &got); err != nil || got != want || !jsonscan.Valid(quoted) {
			t.Fatalf("%q became %s, %v", s, quoted, err)
		}
		if text, ok := jsonscan.Text(quoted); !ok || text != want {
			t.Fatalf("%s reads as %q, want %q", quoted, text, want)
		}
		if string(jsonscan.AppendQuote(nil, []byte(s))) != string(quoted) {
			t.Fatal("bytes are quoted differently from a string")
		}
		if string(jsonscan.AppendString(nil, quoted)) != string(quoted) && !strings.Contains(string(quoted), `\u`) {
			t.Fatalf("%s changes when it is copied", quoted)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	code := "\tif err := json.Unmarshal(data, &v); err != nil {\n\t\treturn fmt.Errorf(\"read %q: %w\", name, err)\n\t}\n"
	data := append(jsonscan.AppendQuote([]byte(`{"model":"m","messages":[{"role":"user","content":`), strings.Repeat(code, 10000)), `}]}`...)
	var v struct {
		Messages []inner `json:"messages"`
	}
	for name, f := range map[string]func(){
		"check":  func() { jsonscan.Check(data) },
		"decode": func() { jsonscan.Decode(data, &v) },
		"json":   func() { json.Unmarshal(data, &v) },
		"valid":  func() { json.Valid(data) },
		"quote":  func() { jsonscan.Quote(code) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

// TestValue: an assembled value is written as it was given, and reads the same
// before and after it is written.
func TestValue(t *testing.T) {
	var message jsonscan.Value
	message.PutText("role", "us\"er")
	message.Put("content", jsonscan.Arr([]jsonscan.Value{
		jsonscan.Obj(jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"text"`)}, jsonscan.Field{Name: "absent"}, jsonscan.Field{Name: "x", Value: jsonscan.Raw([]byte(`{"a": 1.0}`))}),
		jsonscan.Lit("null"),
	}))
	message.Put("nothing", jsonscan.Value{})
	message.Put("count", jsonscan.Lit("7"))
	message.Put("text", jsonscan.Quoted("t"))
	message.Put("count", jsonscan.Lit("8"))
	all := jsonscan.Obj(jsonscan.Field{Name: "messages", Value: jsonscan.Arr([]jsonscan.Value{message})}, jsonscan.Field{Name: "one", Value: message}, jsonscan.Field{Name: "other", Value: message})
	written := all.JSON()
	const one = `{"role":"us\"er","content":[{"type":"text","x":{"a": 1.0}},null],"count":8,"text":"t"}`
	if want := `{"messages":[` + one + `],"one":` + one + `,"other":` + one + `}`; string(written) != want {
		t.Fatalf("wrote %s, want %s", written, want)
	}
	if n := all.Size(); n < len(written) {
		t.Errorf("a size of %d is too small for %d bytes", n, len(written))
	}
	var before, after outer
	if err := all.Decode(&before); err != nil {
		t.Fatal(err)
	}
	if err := jsonscan.Raw(written).Decode(&after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, before, cmp.AllowUnexported(outer{}, jsonscan.Value{})); diff != "" {
		t.Errorf("decoded differently before it was written (-after +before):\n%s", diff)
	}
	var wrong struct {
		One struct {
			Content string `json:"content"`
		} `json:"one"`
	}
	var te *json.UnmarshalTypeError
	if err := all.Decode(&wrong); !errors.As(err, &te) || te.Field != "one.content" || te.Value != "array" {
		t.Errorf("got %v for a list instead of text", err)
	}
	for _, v := range []jsonscan.Value{all, jsonscan.Raw(written)} {
		names := ""
		for name, m := range v.Members() {
			names += name + m.Kind().String() + " "
			for i, e := range m.Elements() {
				if e.Kind() != '{' || i != 0 {
					t.Errorf("element %d is %v", i, e.Kind())
				}
			}
		}
		if names != "messagesarray oneobject otherobject " {
			t.Errorf("members are %s", names)
		}
	}
	if (jsonscan.Value{}).Set() || jsonscan.Lit("null").Set() || jsonscan.Lit("null").Absent() || !jsonscan.Lit("0").Set() || !jsonscan.Lit("0").Is("0") {
		t.Error("null, absent and set are mixed up")
	}
}
