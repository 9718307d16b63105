package procinfo

import (
	"net"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestListenersAreSeenBothWays: netlink and /proc show the same listeners of this
// process.
func TestListenersAreSeenBothWays(t *testing.T) {
	ports := map[int]bool{}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0", "0.0.0.0:0"} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Logf("%s: %v", address, err)
			continue
		}
		defer l.Close()
		ports[l.Addr().(*net.TCPAddr).Port] = true
	}
	seen := func(sockets map[string]int) map[int]bool {
		got := map[int]bool{}
		for _, port := range sockets {
			if ports[port] {
				got[port] = true
			}
		}
		return got
	}
	if got := seen(procListeners()); len(got) != len(ports) {
		t.Errorf("/proc: %v, want %v", got, ports)
	}
	sockets, err := diagListeners()
	if err != nil {
		harness.Missing(t, "no sock_diag here: ", err)
	}
	if got := seen(sockets); len(got) != len(ports) {
		t.Errorf("sock_diag: %v, want %v", got, ports)
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add([]byte("\x14\x00\x00\x00\x03\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseDiag(b, func(diagSocket) error { return nil }) })
}

func BenchmarkOpenSockets(b *testing.B) {
	b.Run("diag", func(b *testing.B) {
		for range b.N {
			_, _ = diagListeners()
		}
	})
	b.Run("proc", func(b *testing.B) {
		for range b.N {
			procListeners()
		}
	})
}
