package launch

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

func TestShownCommand(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"npm", "run", "dev", "--", "--open"}, "npm run dev -- --open"},
		{[]string{"/bin/sh", "-c", "npm run dev | tee log"}, "'npm run dev | tee log'"},
		{[]string{"echo", "it's", "", "$HOME"}, `echo 'it'\''s' '' '$HOME'`},
		{[]string{"sh", "-c", "a\n\tb 'c' \\ \x1b"}, `sh -c $'a\n\tb \'c\' \\ \033'`},
		{[]string{"serve", "--api-key", "abc", "--token=abc", "-v", "x"}, "serve --api-key … --token=… -v x"},
		{[]string{"env", "DB_PASSWORD=abc", "PORT=1", "x"}, "env DB_PASSWORD=… PORT=1 x"},
		{[]string{"x", "--db", "postgres://u:abc@host/db"}, "x --db postgres://…@host/db"},
		{[]string{"/bin/sh", "-c", "SECRET=abc x --token abc"}, "'SECRET=… x --token …'"},
	} {
		if got := shownCommand(tt.args); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
	if got := shownCommand([]string{"x", strings.Repeat("é", 1000)}); len(got) > mostCommand+8 {
		t.Errorf("%d bytes", len(got))
	}
}
