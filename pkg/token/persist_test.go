package token

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// FuzzDecode checks that any file is either read or refused, and that what was
// read can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"tokens":[]}`))
	f.Add([]byte(`{"version":1,"tokens":[{"sha256":"` + "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" + `","token_prefix":"sk_local_12345678","origin":"*","ttl":60,"recent":[1]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := decode(data)
		if err != nil {
			return
		}
		s := &Store{now: time.Now, entries: map[[32]byte]*entry{}}
		for _, e := range entries {
			s.entries[e.hash] = e
		}
		again, err := decode(s.encode(false))
		if err != nil || len(again) > len(entries) {
			t.Fatalf("%d tokens became %d: %v", len(entries), len(again), err)
		}
	})
}

// TestManyRequestsOutliveAStop has a limit with more requests than are written one
// by one: it is not anew after a restart.
func TestManyRequestsOutliveAStop(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "tokens.json")
	cfg := Config{Path: path, Persistence: "file", Now: func() time.Time { return now }}
	s, _, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 3*maxWindow + 5
	m, err := s.Mint(t.Context(), Request{RateLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(s *Store) error {
		g, err := s.Verify(m.Secret, "")
		if err != nil {
			t.Fatal(err)
		}
		return g.Admit()
	}
	for i := range limit {
		now = now.Add(100 * time.Millisecond)
		if err := admit(s); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 512<<10 {
		t.Errorf("the file: %v, %v", info.Size(), err)
	}
	if s, _, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := admit(s); !fault.Is(err, fault.RateLimited) {
		t.Errorf("after a restart: %v, want the limit to hold", err)
	}
	now = now.Add(time.Hour + time.Second)
	if err := admit(s); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
