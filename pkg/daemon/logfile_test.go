package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShortenLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostlessd.log")
	if err := shortenLog(path, 8); err != nil {
		t.Errorf("no log: %v", err)
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) // as launchd holds it
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	check := func(want, kept string) {
		t.Helper()
		if err := shortenLog(path, 8); err != nil {
			t.Fatal(err)
		}
		log.WriteString("|")
		got, _ := os.ReadFile(path)
		old, _ := os.ReadFile(path + ".1")
		if string(got) != want || string(old) != kept {
			t.Errorf("log %q, kept %q; want %q, %q", got, old, want, kept)
		}
	}
	log.WriteString("12345678")
	check("12345678|", "")
	check("|", "2345678|")
	log.WriteString(strings.Repeat("x", 20))
	check("|", "xxxxxxxx")
	if err := shortenLog(filepath.Dir(path), 0); err != nil {
		t.Errorf("a directory: %v", err)
	}
}
