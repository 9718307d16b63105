package daemon

import (
	"testing"

	"github.com/hostless/hostless/pkg/listen"
)

// TestLeastUptime checks that the daemon runs for longer than launchd's ThrottleInterval.
func TestLeastUptime(t *testing.T) {
	for activation, want := range map[string]bool{listen.Launchd: true, listen.Systemd: false, listen.Self: false} {
		d := &daemon{sockets: &listen.Sockets{Activation: activation}}
		if got := d.leastUptime() > 10e9; got != want {
			t.Errorf("%s: runs for %v at least", activation, d.leastUptime())
		}
	}
}
