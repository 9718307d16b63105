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
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}
