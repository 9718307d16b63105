package hosts_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/hosts"
)

const block = "# BEGIN hostless (managed: hostless hosts sync|clean)\n127.0.0.1 a.localhost\n::1 a.localhost\n127.0.0.1 b.localhost\n::1 b.localhost\n# END hostless\n"

var unended = strings.Replace(block, ")", ") (the line above had no end)", 1)

func TestEdit(t *testing.T) {
	ab := []string{"b.localhost", "a.localhost", "a.localhost"}
	tests := []struct {
		name, in string
		names    []string
		want     string
	}{
		{"empty", "", ab, block},
		{"behind foreign lines", "127.0.0.1 localhost\n\n", ab, "127.0.0.1 localhost\n\n" + block},
		{"no last newline", "127.0.0.1 localhost", ab, "127.0.0.1 localhost\n" + unended},
		{"no last newline, again", "127.0.0.1 localhost\n" + unended, ab, "127.0.0.1 localhost\n" + unended},
		{"no last newline, cleaned", "127.0.0.1 localhost\n" + unended, nil, "127.0.0.1 localhost"},
		{"no last newline, more since", "127.0.0.1 localhost\n" + unended + "x\n", nil, "127.0.0.1 localhost\nx\n"},
		{"again", "x\n" + block + "y\n", ab, "x\n" + block + "y\n"},
		{"in its place", "x\n# BEGIN hostless\n127.0.0.1 old.localhost\n# END hostless\ny", ab, "x\n" + block + "y"},
		{"cleaned", "x\n" + block + "y\n", nil, "x\ny\n"},
		{"nothing to clean", "x\r\ny", nil, "x\r\ny"},
		{"windows endings", "x\r\n", ab, "x\r\n" + strings.ReplaceAll(block, "\n", "\r\n")},
		{"mixed endings stay", "x\r\ny\nz", nil, "x\r\ny\nz"},
		{"end lost", "# BEGIN hostless\n127.0.0.1 a.localhost\n10.0.0.1 printer\n", nil, "10.0.0.1 printer\n"},
		{"foreign line inside", "# BEGIN hostless\n127.0.0.1 a.localhost\n10.0.0.1 printer\n# END hostless\n", nil, "10.0.0.1 printer\n"},
		{"foreign line inside, synced", "# BEGIN hostless\n127.0.0.1 old.localhost\n10.0.0.1 printer\n::1 old.localhost\n# END hostless\n", ab, block + "10.0.0.1 printer\n"},
		{"two blocks", block + "x\n" + block, ab, block + "x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := hosts.Edit([]byte(tt.in), tt.names)
			if diff := cmp.Diff(tt.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if len(tt.names) > 0 {
				if diff := cmp.Diff([]string{"a.localhost", "b.localhost"}, hosts.Names(got)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	for _, bad := range []string{"example.com", "localhost", ".localhost", "a b.localhost", "-a.localhost", "a\n.localhost", "A.localhost"} {
		if _, err := hosts.Edit(nil, []string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	f := hosts.Locate("", func(string) string { return path })
	if _, err := f.Sync([]string{"a.localhost"}); err == nil {
		t.Error("a missing file was written")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a missing file was made")
	}
	os.WriteFile(path, []byte("127.0.0.1 localhost\n"), 0o644)
	link := path + ".link"
	os.Symlink(path, link)
	f = hosts.File{Path: link}
	for i, want := range []bool{true, false} {
		if changed, err := f.Sync([]string{"a.localhost"}); err != nil || changed != want {
			t.Errorf("sync %d: changed %v, %v; want %v", i, changed, err, want)
		}
	}
	info, _ := os.Lstat(link)
	if info.Mode()&os.ModeSymlink == 0 {
		t.Error("the symlink was replaced")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want 0644", info.Mode().Perm())
	}
	status, err := f.Status([]string{"b.localhost"})
	want := hosts.Status{Path: link, Names: []string{"a.localhost"}, Missing: []string{"b.localhost"}, Stale: []string{"a.localhost"}}
	if diff := cmp.Diff(want, status); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if changed, err := f.Sync(nil); err != nil || !changed {
		t.Errorf("clean: %v, %v", changed, err)
	}
	if got, _ := os.ReadFile(path); string(got) != "127.0.0.1 localhost\n" {
		t.Errorf("after clean: %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".hosts*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// FuzzEdit: removing what a sync added restores the content, except for a final carriage
// return; syncing twice changes nothing.
func FuzzEdit(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost\r\n# x\n"))
	f.Add([]byte(block))
	f.Fuzz(func(t *testing.T, in []byte) {
		clean, err := hosts.Edit(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		synced, _ := hosts.Edit(clean, []string{"a.localhost"})
		twice, _ := hosts.Edit(synced, []string{"a.localhost"})
		if !bytes.Equal(synced, twice) {
			t.Errorf("not stable: %q then %q", synced, twice)
		}
		back, _ := hosts.Edit(synced, nil)
		if !bytes.Equal(back, bytes.TrimSuffix(clean, []byte("\r"))) {
			t.Errorf("foreign lines changed: %q, want %q", back, clean)
		}
	})
}
