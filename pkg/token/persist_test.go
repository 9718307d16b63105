package token

import (
	"testing"
	"time"
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
