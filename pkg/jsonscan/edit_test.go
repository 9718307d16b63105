package jsonscan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// TestCut cuts each set of elements out of an array.
func TestCut(t *testing.T) {
	data := []byte(`{"a": [ 1 , {"b":2},"c" ,[ ]], "z":0}`)
	elements := []string{"1", `{"b":2}`, `"c"`, "[ ]"}
	at := jsonscan.Fields(data, jsonscan.Span{End: len(data)}, "a", "missing")
	if at[1] != (jsonscan.Span{}) {
		t.Errorf("a missing member is at %v", at[1])
	}
	all := jsonscan.Spans(data, at[0])
	if len(all) != len(elements) {
		t.Fatalf("%d elements", len(all))
	}
	for set := range 1 << len(elements) {
		edits := jsonscan.Cut(all, func(i int) bool { return set&(1<<i) != 0 })
		got := jsonscan.Apply(data, edits)
		var want []string
		for i, e := range elements {
			if set&(1<<i) == 0 {
				want = append(want, e)
			}
		}
		list, err := jsonscan.Member(got, "a")
		if !jsonscan.Valid(got) || !err {
			t.Fatalf("%04b: %s", set, got)
		}
		var have []string
		for _, e := range jsonscan.Elements(list.Of(got)) {
			have = append(have, string(e))
		}
		if fmt.Sprint(have) != fmt.Sprint(want) || !strings.HasSuffix(string(got), `, "z":0}`) {
			t.Errorf("%04b: %s, want %v", set, got, want)
		}
	}
	if got := jsonscan.Apply(data, nil); &got[0] != &data[0] {
		t.Error("no edit makes a copy")
	}
	for _, other := range []string{"", "{}", "[1", "x"} {
		if jsonscan.Spans([]byte(other), jsonscan.Span{End: len(other)}) != nil {
			t.Errorf("%q has elements", other)
		}
	}
}
