package respond

import (
	"io"
	"strings"
	"testing"
)

func TestSniffEvents(t *testing.T) {
	for text, want := range map[string]bool{
		"data:{}\n\n": true, "data: {}\n\n": true, "event: a\ndata: b\n\n": true, ":\n\n": true, "\n\nid:1\n": true, "\xef\xbb\xbfdata: 1\n\n": true, "retry: 1\n": true,
		"": false, "{}": false, `{"data":1}`: false, "[": false, "dat": false, "date: x": false, "<html>": false, "\n{": false,
	} {
		in, got := sniffEvents(strings.NewReader(text))
		rest, _ := io.ReadAll(in)
		if got != want || string(rest) != text {
			t.Errorf("sniffEvents(%q) = %v, and left %q", text, got, rest)
		}
	}
}
