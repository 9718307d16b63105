package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/test/harness"
)

func TestRefuseForeign(t *testing.T) {
	mine, uid := t.TempDir(), os.Getuid()
	for _, tt := range []struct {
		what    string
		home    string
		uid     int
		env     map[string]string
		refused bool
	}{
		{"own home", mine, uid, nil, false},
		{"home not there yet", filepath.Join(mine, "a", "b"), uid, nil, false},
		{"another user's home", mine, uid + 1, nil, true},
		{"root by sudo", mine, 0, map[string]string{"SUDO_USER": "ann"}, true},
		{"root by doas", mine, 0, map[string]string{"DOAS_USER": "ann"}, true},
		{"below root's own directory", "/does-not-exist/x", uid + 1, nil, false},
	} {
		err := config.RefuseForeign(tt.home, tt.uid, func(k string) string { return tt.env[k] })
		if tt.refused != fault.Is(err, fault.Forbidden) || !tt.refused && err != nil {
			t.Errorf("%s: %v, want refused %v", tt.what, err, tt.refused)
		}
	}
	harness.NeedRoot(t) // creates a directory of another user
	theirs := t.TempDir()
	if err := os.Chown(theirs, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	for what, err := range map[string]error{
		"root in a user's home":         config.RefuseForeign(filepath.Join(theirs, "new"), 0, none),
		"root with a user's HOME":       config.RefuseForeign(mine, 0, func(k string) string { return map[string]string{"HOME": theirs}[k] }),
		"a user below another's folder": config.RefuseForeign(filepath.Join(theirs, "new"), 54321, none),
	} {
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := config.RefuseForeign(filepath.Join(theirs, "new"), 12345, none); err != nil {
		t.Errorf("the owner: %v", err)
	}
}
