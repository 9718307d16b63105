package anthropic

import "testing"

// FuzzToolID: an id rewritten for Anthropic can be restored.
func FuzzToolID(f *testing.F) {
	f.Add("call_1")
	f.Add("a <b> & \"c\" \\ \n\t\r\x00\x1f\u2028 \xff ü")
	f.Fuzz(func(t *testing.T, s string) {
		if back := ownID(safeID(s)); back != s {
			t.Errorf("id %q came back as %q", s, back)
		}
	})
}
