package build

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	revision := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123456789abcdef0123"}}
	for _, tt := range []struct {
		module   string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", revision, "v1.2.3"},
		{"(devel)", revision, "dev-0123456789ab"},
		{"", []debug.BuildSetting{{Key: "vcs.revision", Value: "short"}}, "dev"},
		{"", nil, "dev"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: tt.module}, Settings: tt.settings}
		if got := version(info); got != tt.want {
			t.Errorf("version %q with %v: %q, want %q", tt.module, tt.settings, got, tt.want)
		}
	}
	if got := Version("1.0"); got != "1.0" {
		t.Errorf("the linker's version became %q", got)
	}
	if Version("") == "" {
		t.Error("no version at all")
	}
}
