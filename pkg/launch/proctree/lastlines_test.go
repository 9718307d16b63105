package proctree

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLastLines(t *testing.T) {
	var many []string
	for i := range lastCount + 10 {
		many = append(many, fmt.Sprint("line ", i))
	}
	long := strings.Repeat("x", 3*lastWidth)
	for _, tt := range []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"in pieces", []string{"a", "b\r", "\nc\n"}, []string{"ab", "c"}},
		{"empty at the ends", []string{" \n\na\n\nb\n\n \n"}, []string{"a", "", "b"}},
		{"more than are kept", []string{strings.Join(many, "\n")}, many[10:]},
		{"one by one", strings.SplitAfter(strings.Join(many, "\n")+"\n", "\n"), many[10:]},
		{"progress", []string{"10%\r20", "%\r", "30%\r\ndone\n"}, []string{"30%", "done"}},
		{"long", []string{"a" + long, long + "z\nend\n"}, []string{"a" + long[:lastWidth-1], "end"}},
		{"no UTF-8", []string{"a\xff\n"}, []string{"a\uFFFD"}},
		{"too much", []string{strings.Repeat(long+"\n", 20) + "end"}, append(slicesRepeat(long[:lastWidth], 7), "end")},
	} {
		var kept lastLines
		s := kept.stream()
		for _, c := range tt.chunks {
			s.add([]byte(c))
		}
		if diff := cmp.Diff(tt.want, kept.last()); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func slicesRepeat(s string, n int) (list []string) {
	for range n {
		list = append(list, s)
	}
	return list
}

func TestLastLinesOfTwoStreams(t *testing.T) {
	var kept lastLines
	out, errs := kept.stream(), kept.stream()
	out.add([]byte("o1\no"))
	errs.add([]byte("e1\n"))
	out.add([]byte("2\n"))
	errs.add([]byte("e2"))
	if diff := cmp.Diff([]string{"o1", "e1", "o2", "e2"}, kept.last()); diff != "" {
		t.Error(diff)
	}
}
