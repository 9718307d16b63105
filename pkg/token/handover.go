package token

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// reclaimTime is how long a lease's token stays good in a successor until the
// client of the lease takes it up again.
const reclaimTime = time.Minute

// Export gives all tokens with their rate windows, as Import takes them: hashes,
// never a token. Those of leases and of a store that does not persist are among
// them, so it is for a successor's memory alone and never for a file.
func (s *Store) Export() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.encode(true)
}

// Import takes over what a predecessor's Export gave. Tokens that are known
// already, from the file, are replaced: the predecessor's windows are newer. The
// token of a lease is good for a minute, unless Restore takes it up meanwhile.
func (s *Store) Import(data []byte) error {
	entries, err := decode(data)
	if err != nil {
		return fmt.Errorf("import tokens: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if reclaim := s.now().Add(reclaimTime); e.lease && e.expires.After(reclaim) {
			e.expires = reclaim
		}
		s.entries[e.hash] = e
	}
	if s.pending != nil { // the predecessor knew what the sealed file holds
		close(s.pending)
		s.pending = nil
	}
	return nil
}

// RevokeHash ends the token with this hash, in memory alone: the store that the
// token belongs to has done the rest. It is for a predecessor, which still
// answers what it had started with. An unknown hash is none.
func (s *Store) RevokeHash(hexHash string) {
	hash, err := hex.DecodeString(hexHash)
	if err != nil || len(hash) != sha256.Size {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[[sha256.Size]byte(hash)]; e != nil {
		s.end(e)
	}
}

// OnCharge has fn called with the hash, in hex, of each token whose rate limit a
// request is charged to from now on: a predecessor tells its successor of what it
// still takes. fn must return at once.
func (s *Store) OnCharge(fn func(hash string)) { s.onCharge.Store(&fn) }

// forwardCharges tells of the limits that a request of e is charged to.
func (s *Store) forwardCharges(e *entry) {
	fn := s.onCharge.Load()
	if fn == nil {
		return
	}
	for _, charged := range append([]*entry{e}, e.parents...) {
		if charged.rate > 0 {
			(*fn)(hex.EncodeToString(charged.hash[:]))
		}
	}
}

// ChargeHash counts a request that a predecessor has taken against the token with
// this hash. An unknown hash is none.
func (s *Store) ChargeHash(hexHash string) {
	hash, err := hex.DecodeString(hexHash)
	if err != nil || len(hash) != sha256.Size {
		return
	}
	s.mu.RLock()
	e := s.entries[[sha256.Size]byte(hash)]
	s.mu.RUnlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limiter.charge(s.now())
}
