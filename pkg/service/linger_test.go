package service

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestEndsWithSession(t *testing.T) {
	for name, c := range map[string]struct {
		user, session string
		want          bool
	}{
		"over ssh":         {"Linger=no\nSessions=4 7", "Type=tty\nClass=user", true},
		"at a console":     {"Linger=no\nSessions=4", "Type=tty\nClass=user", true},
		"lingering":        {"Linger=yes\nSessions=4", "Type=tty\nClass=user", false},
		"a desktop":        {"Linger=no\nSessions=2", "Type=wayland\nClass=user", false},
		"no session":       {"Linger=no\nSessions=", "", true},
		"no logind":        {"", "", false},
		"a session unseen": {"Linger=no\nSessions=4", "", false},
	} {
		m := &Manager{cfg: Config{Run: func(_ context.Context, program string, args ...string) (string, error) {
			out := c.session
			if args[0] == "show-user" {
				out = c.user
			}
			if program != "loginctl" || out == "" {
				return "", errors.New("System has not been booted with systemd as init system")
			}
			if args[0] == "show-session" && !strings.Contains(c.user, args[1]) {
				t.Errorf("unexpected session %s", args[1])
			}
			return out, nil
		}}}
		if got := m.EndsWithSession(t.Context()); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
