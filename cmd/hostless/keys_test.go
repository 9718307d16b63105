package main

import (
	"testing"

	"github.com/hostless/hostless/pkg/control"
)

func TestShownKey(t *testing.T) {
	tests := []struct {
		key  control.KeyInfo
		want string
	}{
		{control.KeyInfo{}, "none"},
		{control.KeyInfo{HasKey: true}, "set"},
		{control.KeyInfo{HasKey: true, Hint: "6789"}, "…6789"},
		{control.KeyInfo{HasKey: true, Hint: "6789", Locked: true}, "locked"},
		{control.KeyInfo{HasKey: true, Reference: "cmd://work"}, "cmd://work"},
		{control.KeyInfo{HasKey: true, Reference: "cmd://work", Locked: true}, "cmd://work (locked)"},
	}
	for _, test := range tests {
		if got := shownKey(test.key); got != test.want {
			t.Errorf("shownKey(%+v) = %q, want %q", test.key, got, test.want)
		}
	}
}
