package service

import (
	"context"
	"os"
	"strconv"
	"strings"
)

// LingerCommand makes the user's service manager start at boot and outlast sessions.
const LingerCommand = "loginctl enable-linger"

// EndsWithSession reports whether the service stops when this user logs out of a machine
// without a desktop, for example over ssh: unless lingering is enabled, systemd stops a
// user's manager with the last session. It returns false if that cannot be determined,
// and for a desktop session, which the user ends deliberately.
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

// loginctl returns properties of a user or a session.
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
