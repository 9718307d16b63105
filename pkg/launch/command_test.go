package launch

import (
	"strings"
	"testing"
)

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
	if got := shownCommand([]string{"x", strings.Repeat("é", 1000)}); len(got) > maxCommand+8 {
		t.Errorf("%d bytes", len(got))
	}
}
