package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func skimmed(data []byte) (members []string, err error) {
	_, err = Skim(data, func(key []byte, v Span) error {
		members = append(members, fmt.Sprintf("%s=%s", key, v.Of(data)))
		return nil
	})
	return members, err
}

func TestSkim(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: ``, ` { } `: ``,
		`{"a":1,"b":[{"c":"]}"}],"\u0061":"x\"y\\"}`:  `a=1 b=[{"c":"]}"}] a="x\"y\\"`,
		`{"a":"\\u12","b":"\\\u00e9","c":"\u00e9\\"}`: `a="\\u12" b="\\\u00e9" c="\u00e9\\"`,
		"{\"a\":\"x\ny\",\"é\":\"日\"}":                "a=\"x\ny\" é=\"日\"", // a control character: Skim does not check for it
	} {
		got, err := skimmed([]byte(in))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{
		``, `[]`, `null`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{"a":1}x`, `{"a":1}{}`, `{a:1}`, `{'a':1}`, `{"a" 1}`, `{"a":1 "b":2}`,
		`{"a":1/*"*/,"model":"b"/*"*/}`, `{"a":[1}}`, `{"a":]}`, `{"a":[}]}`, `{"a":"x}`, `{"a":"\"}`, `{"mode\l":1}`, "{\"a\n\":1}", "{\"a\":\x00}", `{"a":'x'}`, "{\"a\":\"\xff\"}", "{\"a\":[\"x\\\"\xc3\"]}", "{\"\xff\":1}", "\ufeff{}",
		`{"a":"\u12","model":"b"}`, `{"a":"\\\u1"}`, `{"a":"\u"}`, `{"a":"\u123\\"}`, `{"a":"\u123\\\""}`, `{"a":"\u1\""}`,
		`{"a":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
	} {
		if got, err := skimmed([]byte(in)); err == nil {
			t.Errorf("%.60s was accepted: %v", in, got)
		}
	}
	deep := `{"a":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1) + `}`
	if _, err := skimmed([]byte(deep)); err != nil {
		t.Errorf("an object nested %d deep: %v", MaxDepth, err)
	}
}

func TestSkimElements(t *testing.T) {
	elements := func(in string) (string, error) {
		var got []string
		err := SkimElements([]byte(in), func(v Span) error {
			got = append(got, in[v.Start:v.End])
			return nil
		})
		return strings.Join(got, "|"), err
	}
	for in, want := range map[string]string{`[]`: ``, ` [ ] `: ``, `[1, {"a":[2]} ,"]"]`: `1|{"a":[2]}|"]"`} {
		if got, err := elements(in); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{``, `{}`, `[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `[1]x`, `[{]}`, `["x]`, `["\u1"]`, "[\"\xff\"]", `[1/**/]`} {
		if got, err := elements(in); err == nil {
			t.Errorf("%s was accepted: %s", in, got)
		}
	}
}

// FuzzSkim: Skim finds the same members as Object in everything that is valid JSON.
func FuzzSkim(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\\\""}],"c":"\u00e9","d":-1.5e9}`, ` {"a" : "\\u12" , "b":{}} `, `{"\u006dodel":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := skimmed(data)
		var want []string
		if !utf8.Valid(data) {
			if err == nil {
				t.Fatalf("%q is not UTF-8", data)
			}
			return
		}
		_, strict := Object(data, func(key []byte, v Span) error {
			want = append(want, fmt.Sprintf("%s=%s", key, v.Of(data)))
			return nil
		})
		if strict != nil {
			if err == nil && json.Valid(data) && bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) && !strings.Contains(strict.Error(), "nest") {
				t.Fatalf("%q is JSON that Object refuses: %v", data, strict)
			}
			return
		}
		if err != nil || strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q: got %q, %v; Object has %q", data, got, err, want)
		}
	})
}
