package token

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// FuzzDecode: any file is either decoded or rejected, and a decoded file can be encoded
// and decoded again.
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

// TestManyRequestsOutliveAStop: a limit with more requests than are written individually
// is still in effect after a restart.
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

// box is a sealer that can be locked.
type box struct{ exists, locked, failed bool }

func flip(in []byte) []byte {
	out := bytes.Clone(in)
	for i := range out {
		out[i] ^= 0x55
	}
	return out
}

func (b *box) Exists() bool { return b.exists }

func (b *box) Opening() bool { return !b.failed }

func (b *box) Seal(purpose string, plain []byte) ([]byte, error) {
	if b.locked {
		return nil, fault.New(fault.Locked, "locked")
	}
	return append([]byte(purpose+":"), flip(plain)...), nil
}

func (b *box) Unseal(purpose string, data []byte) ([]byte, error) {
	if b.locked {
		return nil, fault.New(fault.Locked, "locked")
	}
	plain, ok := bytes.CutPrefix(data, []byte(purpose+":"))
	if !ok {
		return nil, fault.New(fault.Invalid, "another purpose")
	}
	return flip(plain), nil
}

// TestSealedFile: the tokens are sealed, across a restart with a vault that is opened
// later.
func TestSealedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	sealer := &box{}
	open := func() *Store {
		s, warnings, err := New(Config{Path: path, Persistence: "keychain", Sealer: sealer})
		if err != nil || len(warnings) != 0 {
			t.Fatal(warnings, err)
		}
		return s
	}
	read := func() string {
		data, _ := os.ReadFile(path)
		return string(data)
	}
	s := open()
	if _, err := s.Mint(t.Context(), Request{}); err != nil || !strings.Contains(read(), "sha256") {
		t.Fatalf("without a vault: %v, %s", err, read())
	}
	sealer.exists = true
	m, err := s.Mint(t.Context(), Request{})
	if err != nil || !strings.Contains(read(), `"sealed"`) || strings.Contains(read(), "sha256") {
		t.Fatalf("with a vault: %v, %s", err, read())
	}
	sealer.locked = true
	if _, err := s.Mint(t.Context(), Request{}); !fault.Is(err, fault.Locked) || s.Live() != 2 {
		t.Errorf("with a locked one: %v, %d live", err, s.Live())
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close with a locked one: %v", err)
	}

	before := read()
	s = open()
	start := time.Now()
	if _, err := s.Verify(m.Secret, ""); !fault.Is(err, fault.Locked) || time.Since(start) < unsealWait {
		t.Errorf("a token of a file that is sealed: %v after %s", err, time.Since(start))
	}
	sealer.failed = true
	start = time.Now()
	if _, err := s.Verify(m.Secret, ""); !fault.Is(err, fault.Locked) || time.Since(start) > unsealWait/2 {
		t.Errorf("with a vault that stays locked: %v after %s", err, time.Since(start))
	}
	sealer.failed = false
	if _, err := s.Mint(t.Context(), Request{}); !fault.Is(err, fault.Locked) {
		t.Errorf("Mint before the file is known: %v", err)
	}
	if s.Close(); read() != before {
		t.Error("a file that was not read was overwritten")
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Verify(m.Secret, "")
		done <- err
	}()
	sealer.locked = false
	if err := s.Unlocked(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("a token that waited: %v", err)
	}
	if s.Live() != 2 {
		t.Errorf("%d live tokens, want 2", s.Live())
	}
	if err := s.SetPersistence("file"); err != nil || !strings.Contains(read(), "sha256") {
		t.Errorf("back to file: %v, %s", err, read())
	}
	if err := s.SetPersistence("keychain"); err != nil || strings.Contains(read(), "sha256") {
		t.Errorf("and to keychain: %v, %s", err, read())
	}
}
