package routes

import "testing"

func TestPathPrefixes(t *testing.T) {
	for prefix, want := range map[string]string{"": "", "/": "", "/api": "/api", "/api/": "/api", "/a/b": "/a/b", "/ä": "/ä"} {
		if got, err := cleanPrefix(prefix); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", prefix, got, err, want)
		}
	}
	for _, bad := range []string{"api", "/a b", "/a%20b", "/%zz", "/a//b", "/a/../b", "/a/..", "/a?b", "/a#b"} {
		if got, err := cleanPrefix(bad); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

// TestPortsOfOtherToolsAreLeft: an app never gets a port that another tool opens by
// default, even if it is free, nor one that browsers refuse.
func TestPortsOfOtherToolsAreLeft(t *testing.T) {
	table, _, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	for _, port := range []int{4000, 4040, 4045, 4173, 4190, 4200, 4317, 4318, 4321, 4444, 4566, 4873, 4983} {
		if table.tryReserve(port, "shop") {
			t.Errorf("port %d was given away", port)
		}
	}
	for range 100 {
		port, err := table.reserve("shop" + t.Name())
		if err != nil {
			t.Fatal(err)
		}
		if owned[port] || blocked[port] {
			t.Errorf("port %d was given away", port)
		}
		table.releaseReservation(port)
	}
}
