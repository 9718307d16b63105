package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hostless/hostless/pkg/fault"
)

// taken holds the fields of a parsed line that tests compare.
type taken struct {
	Name        string
	Flags, Args []string
	Child       []string
	JSON, Help  bool
	Warned      bool
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, line string
		want       taken
	}{
		{"json before", "--json list", taken{Name: "list", JSON: true}},
		{"json after", "list --json", taken{Name: "list", JSON: true}},
		{"json between", "keys --json list", taken{Name: "keys list", JSON: true}},
		{"json after a positional", "config get port --json", taken{Name: "config get", Args: []string{"port"}, JSON: true}},
		{"json off", "--json list --json=false", taken{Name: "list"}},
		{"flags after positionals", "route add web --port 3000 --force", taken{Name: "route add", Flags: []string{"--port", "3000", "--force"}, Args: []string{"web"}}},
		{"inline value", "route add --port=3000 web", taken{Name: "route add", Flags: []string{"--port=3000"}, Args: []string{"web"}}},
		{"value that looks like a flag", "token create --ttl -5", taken{Name: "token create", Flags: []string{"--ttl", "-5"}}},
		{"a lone dash is a positional", "keys add openai - --base-url http://x/v1", taken{Name: "keys add", Flags: []string{"--base-url", "http://x/v1"}, Args: []string{"openai", "-"}}},
		{"nothing is a flag after --", "keys add openai -- --json", taken{Name: "keys add", Args: []string{"openai", "--json"}}},
		{"a positional named like a command", "token revoke list", taken{Name: "token revoke", Args: []string{"list"}}},
		{"alias", "alias rm", taken{Name: "alias", Args: []string{"rm"}}},
		{"alias of a command", "route rm web", taken{Name: "route remove", Args: []string{"web"}}},
		{"short help", "keys -h", taken{Name: "keys", Help: true}},
		{"help wins over what is wrong", "keys add --nonsense --help", taken{Name: "keys add", Help: true}},
		{"help as a command", "help token create", taken{Name: "token create", Help: true}},
		{"help before an app's command", "shop --help", taken{Name: "run", Args: []string{"shop"}, Help: true}},
		{"daemon port with a value", "route --daemon-port 4000 list", taken{Name: "route list", Warned: true}},
		{"daemon port inline", "serve --daemon-port=4000 --verbose", taken{Name: "serve", Flags: []string{"--verbose"}, Warned: true}},

		{"run with a name", "run web -- npm run dev --json", taken{Name: "run", Args: []string{"web"}, Child: []string{"npm", "run", "dev", "--json"}}},
		{"run with flags around the name", "run --force web --ttl 60 -- x", taken{Name: "run", Flags: []string{"--force", "--ttl", "60"}, Args: []string{"web"}, Child: []string{"x"}}},
		{"run without a name", "run -- vite --port 3", taken{Name: "run", Child: []string{"vite", "--port", "3"}}},
		{"run without --", "run --force vite --port 3 --help", taken{Name: "run", Flags: []string{"--force"}, Child: []string{"vite", "--port", "3", "--help"}}},
		{"run with the child's own --", "run npm run dev -- --port 3", taken{Name: "run", Child: []string{"npm", "run", "dev", "--", "--port", "3"}}},
		{"run with the child's second --", "run web -- npm run dev -- --port 3", taken{Name: "run", Args: []string{"web"}, Child: []string{"npm", "run", "dev", "--", "--port", "3"}}},
		{"run with a child that has our flags", "run web -- run --force --daemon-port 1", taken{Name: "run", Args: []string{"web"}, Child: []string{"run", "--force", "--daemon-port", "1"}}},
		{"app", "web npm run dev --json", taken{Name: "run", Args: []string{"web"}, Child: []string{"npm", "run", "dev", "--json"}}},
		{"app with flags", "web --force --ttl 60 npm --force", taken{Name: "run", Flags: []string{"--force", "--ttl", "60"}, Args: []string{"web"}, Child: []string{"npm", "--force"}}},
		{"app with --", "web -- --strange", taken{Name: "run", Args: []string{"web"}, Child: []string{"--strange"}}},
		{"daemon port before an app", "--daemon-port 1 web x", taken{Name: "run", Args: []string{"web"}, Child: []string{"x"}, Warned: true}},
	}
	tree := (&env{}).commands()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := parse(tree, strings.Fields(tt.line))
			if err != nil {
				t.Fatalf("parse(%q): %v", tt.line, err)
			}
			got := taken{Name: l.name(), Flags: l.flags, Args: l.args, Child: l.child, JSON: l.json, Help: l.help, Warned: len(l.warnings) > 0}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("parse(%q) (-want +got):\n%s", tt.line, diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, line, want, next string }{
		{"mistyped command", "stauts", `there is no command "stauts"`, "did you mean hostless status?"},
		{"begun command", "comp", `there is no command "comp"`, "did you mean hostless completion?"},
		{"mistyped command with a flag", "lsit --json", `there is no command "lsit"`, "did you mean hostless list?"},
		{"mistyped subcommand", "token crate", `there is no command "crate"`, "did you mean hostless token create?"},
		{"unknown flag", "route add web --prot 3", "unknown flag --prot", "did you mean --port?"},
		{"unknown flag of an app", "web --fource npm", "unknown flag --fource", "did you mean --force?"},
		{"unknown flag of a group", "keys --base-url x list", "unknown flag --base-url", ""},
		{"flag without its value", "route add web --port", "flag --port needs a value", ""},
		{"no value across --", "run --name -- x", "flag --name needs a value", ""},
		{"nothing before --", "-- x", "there is no command before --", ""},
	}
	tree := (&env{}).commands()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tree, strings.Fields(tt.line))
			f := fault.From(err)
			if f == nil || f.Kind != fault.Usage || f.Message != tt.want || f.Next != tt.next {
				t.Errorf("parse(%q) = %#v; want %q, next %q", tt.line, f, tt.want, tt.next)
			}
		})
	}
}

// FuzzParse checks that no line makes the parser panic, and that what follows a
// run's "--" is not changed.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"run\x00web\x00--\x00npm", "--json\x00list", "web\x00--force\x00x", "alias\x00--remove\x00a"} {
		f.Add(s)
	}
	tree := (&env{}).commands()
	f.Fuzz(func(t *testing.T, s string) {
		words := strings.Split(s, "\x00")
		parse(tree, words)
		l, err := parse(tree, append([]string{"run", "web", "--"}, words...))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(words, l.child); diff != "" {
			t.Errorf("child (-want +got):\n%s", diff)
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"list", "status", "token", "stop"}
	for word, want := range map[string]string{"lst": "list", "tokne": "token", "stat": "status", "xyz": "", "": "", "stp": "stop", "myapp": ""} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
