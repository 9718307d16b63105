package service

import (
	"context"
	"os"
	"strconv"
	"strings"
)

// LingerCommand has the user's manager start at boot and outlast sessions.
const LingerCommand = "loginctl enable-linger"

// EndsWithSession reports whether the service ends when this user logs out of a
// machine without a desktop, as over ssh: systemd ends a user's manager with the
// last session, unless it lingers. Where that cannot be found out, and with a
// desktop session, whose end is the user's own, it is false.
func (m *Manager) EndsWithSession(ctx context.Context) bool {
	if m.other != nil {
		return false
	}
	user, err := m.loginctl(ctx, "show-user", strconv.Itoa(os.Getuid()), "Linger", "Sessions")
	if err != nil || user["Linger"] != "no" {
		return false
	}
	for id := range strings.FieldsSeq(user["Sessions"]) {
		session, err := m.loginctl(ctx, "show-session", id, "Type", "Class")
		if err != nil {
			return false
		}
		switch session["Type"] {
		case "x11", "wayland", "mir":
			return false
		}
	}
	return true
}

// loginctl reads properties of a user or a session.
func (m *Manager) loginctl(ctx context.Context, verb, id string, names ...string) (map[string]string, error) {
	out, err := m.cfg.Run(ctx, "loginctl", verb, id, "--property="+strings.Join(names, ","))
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	for line := range strings.SplitSeq(out, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			p[name] = value
		}
	}
	return p, nil
}
