package appname

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
)

func TestCheck(t *testing.T) {
	long := strings.Repeat("a", 63)
	tests := []struct {
		in, want string
		bad      bool
	}{
		{in: "myapp", want: "myapp"},
		{in: "MyApp", want: "myapp"},
		{in: "api.myapp", want: "api.myapp"},
		{in: "myapp.localhost", want: "myapp"},
		{in: "0x", want: "0x"},
		{in: long, want: long},
		{in: "", bad: true},
		{in: "localhost", bad: true},
		{in: "hostless", bad: true},
		{in: "HOSTLESS.localhost", bad: true},
		{in: "a.b.hostless", bad: true},
		{in: "hostless.a", want: "hostless.a"},
		{in: "my-hostless", want: "my-hostless"},
		{in: ".localhost", bad: true},
		{in: "a..b", bad: true},
		{in: ".a", bad: true},
		{in: "a.", bad: true},
		{in: "-a", bad: true},
		{in: "a-", bad: true},
		{in: "Bad_Name", bad: true},
		{in: "a b", bad: true},
		{in: "ä", bad: true},
		{in: "\u212a", bad: true}, // the Kelvin sign folds to k
		{in: "a/b", bad: true},
		{in: long + "a", bad: true},
		{in: strings.Repeat(long+".", 4) + "a", bad: true},
	}
	for _, tt := range tests {
		got, err := Check(tt.in)
		if tt.bad {
			if !fault.Is(err, fault.Usage) {
				t.Errorf("Check(%q) = %q, %v; want a usage error", tt.in, got, err)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("Check(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestSanitize(t *testing.T) {
	tests := []struct{ in, want string }{
		{"My App", "my-app"},
		{"a__b--c", "a-b-c"},
		{"-x-", "x"},
		{"@scope", "scope"},
		{"api.My_App", "api.my-app"},
		{"..", ""},
		{"ünï", "n"},
		{"***", ""},
		{strings.Repeat("a", 64), strings.Repeat("a", 56) + "-ffe054"},
	}
	for _, tt := range tests {
		if got := Sanitize(tt.in); got != tt.want {
			t.Errorf("Sanitize(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestUnreserved(t *testing.T) {
	for in, want := range map[string]string{"hostless": "hostless-app", "api.hostless": "api.hostless-app", "shop": "shop", "hostless.shop": "hostless.shop"} {
		got := Unreserved(in)
		if _, err := Check(got); got != want || err != nil {
			t.Errorf("Unreserved(%q) = %q (%v), want %q", in, got, err, want)
		}
	}
	if _, err := Check("Hostless"); fault.From(err).Next != "try hostless-app" {
		t.Errorf("the next step is %q", fault.From(err).Next)
	}
}

func FuzzSanitize(f *testing.F) {
	for _, s := range []string{"My App", "a.b.c", strings.Repeat("x-", 200), "ä", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := Sanitize(s)
		if name == "" || name == "localhost" {
			return
		}
		name = Unreserved(name)
		if got, err := Check(name); err != nil || (got != name && !strings.HasSuffix(name, Suffix)) {
			t.Errorf("Sanitize(%q) = %q, which Check makes %q, %v", s, name, got, err)
		}
		if again := Sanitize(name); again != name {
			t.Errorf("Sanitize is not stable: %q, then %q", name, again)
		}
	})
}
