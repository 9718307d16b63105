package peer

import (
	"strings"
	"testing"
)

// TestSubordinateUsers: only ids that are delegated to the owner alone count.
func TestSubordinateUsers(t *testing.T) {
	const ranges = "# comment\nroot:100000:10\nann:200000:65536\n1000:300000:10\nbob:400000:100\nann:400050:10\nann:0:99999\nann:x:9\nann:500000\n"
	for _, tt := range []struct {
		uid  int
		want bool
	}{
		{199999, false}, {200000, true}, {200000 + 65535, true}, {200000 + 65536, false},
		{300003, true},  // by number
		{100003, false}, // root's
		{400001, false}, // bob's
		{400055, false}, // both users'
		{1001, false},   // a range that includes root's own id is ignored
		{500000, false},
	} {
		if got := delegated(strings.NewReader(ranges), tt.uid, 1000, "ann"); got != tt.want {
			t.Errorf("uid %d: got %v, want %v", tt.uid, got, tt.want)
		}
	}
}
