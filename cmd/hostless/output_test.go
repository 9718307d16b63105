package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	e := &env{out: &out, err: &out, getenv: func(string) string { return "" }}
	rows := [][]string{{"web", "http://web.localhost", "x"}, {"évil\x1b[2J\n\tname", "", "\u202ereversed"}}
	if err := e.table([]string{"NAME", "URL", "LAST"}, rows); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"NAME            URL                   LAST\n" +
		"web             http://web.localhost  x\n" +
		"évil\ufffd[2J\ufffd\ufffdname  -                     \ufffdreversed\n"
	if out.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[int64]string{-1: "now", 0: "now", 59: "59s", 119: "119s", 3599: "60m", 86399: "24h", 86400: "24h", 604799: "7d"} {
		if got := span(seconds); got != want {
			t.Errorf("span(%d) = %q, want %q", seconds, got, want)
		}
	}
}

// TestReportShowsErrorsOnce checks the form of an error, and that control characters in
// a message do not reach the terminal.
func TestReportShowsErrorsOnce(t *testing.T) {
	var out bytes.Buffer
	e := &env{out: &out, err: &out, getenv: func(string) string { return "" }}
	f := usage("bad \x1b]0;title\x07name")
	f.Next = "try\tthis"
	if code := e.report(t.Context(), f); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	want := "hostless: bad \ufffd]0;title\ufffdname\n  next: try\tthis\n"
	if out.String() != want {
		t.Errorf("report printed %q, want %q", out.String(), want)
	}
	if strings.Count(out.String(), "bad") != 1 {
		t.Errorf("the error is printed more than once")
	}
}
