package jsonscan_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/jsonscan"
)

func TestCutMembers(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"a":1, "x" : {"a":2}, "b":"x"}`, `{"a":1, "b":"x"}`},
		{`{"x":1,"y":[":"]}`, `{}`},
		{`{"x":1, "b":2}`, `{"b":2}`},
		{`{"b":2, "y":"\":\""}`, `{"b":2}`},
		{`{"\u0078":1,"b":2}`, `{"\u0078":1,"b":2}`},
		{`{}`, `{}`},
	} {
		edits := jsonscan.CutMembers([]byte(c.in), jsonscan.Span{End: len(c.in)}, func(name string) bool { return name == "x" || name == "y" })
		if got := string(jsonscan.Apply([]byte(c.in), edits)); got != c.want {
			t.Errorf("%s became %s, want %s", c.in, got, c.want)
		}
	}
}
