package service

import "context"

// backend is a service manager other than systemd. Manager delegates to the methods with
// the same names.
type backend interface {
	Install(ctx context.Context, settings map[string]string) (Installed, error)
	Status(ctx context.Context) (Status, error)
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Restart(ctx context.Context) error

	remove(ctx context.Context) ([]string, error)
	unit() string // the service's name in the manager
}

// Journal reports whether the daemon logs to systemd's journal.
func (m *Manager) Journal() bool { return m.other == nil }
