package appname

import (
	"slices"
	"strings"
	"testing"
)

func TestDomains(t *testing.T) {
	d, err := CheckDomains([]string{" Test", "dev.example.com.", "example.com", "test"})
	if err != nil || !slices.Equal(d, Domains{"test", "dev.example.com", "example.com"}) {
		t.Fatalf("%q, %v", d, err)
	}
	for host, want := range map[string]string{
		"shop.test": "shop.localhost", "api.shop.test": "api.shop.localhost", "shop.dev.example.com": "shop.localhost",
		"dev.example.com": "dev.localhost", "shop.localhost": "shop.localhost",
		"test": "", "localhost": "", ".test": "", "shoptest": "", "shop.tests": "", "shop.org": "", "shop.test.evil.org": "",
	} {
		got, ok := d.Canonical(host)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s is %q, %v; want %q", host, got, ok, want)
		}
	}
	if got := d.Shown("shop.localhost"); got != "shop.test" {
		t.Errorf("shown as %s", got)
	}
	if got := Domains(nil).Shown("shop.localhost"); got != "shop.localhost" {
		t.Errorf("shown as %s", got)
	}
	if got := strings.Join(d.All("shop.localhost"), " "); got != "shop.localhost shop.test shop.dev.example.com shop.example.com" {
		t.Error(got)
	}
	for _, bad := range []string{"", "a..b", "-x", "local", "home.local", "x.localhost", "1.2.3.4", "a_b", "com"} {
		if _, err := CheckDomains([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
