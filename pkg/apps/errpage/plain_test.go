package errpage

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\tb":                 "a\tb",
		"\x1b[1;31mred\x1b[0m": "red",
		"\x1b]0;title\x07text": "text",
		"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\.": "link.",
		"\x1b(B\x1b[mtput":                          "tput",
		"\x1b=keypad\x1b":                           "keypad",
		"\x1bé\x1b\x1b[1mx":                         "éx",
		"\x1b]never ended":                          "",
		"\u009b31m\xff":                             "31m\ufffd",
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}
