package token

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// reclaimTime is how long the token of a lease remains valid in a successor until the
// lease's client restores it.
const reclaimTime = time.Minute

// Export returns all tokens with their rate windows in the form that Import reads:
// hashes, never tokens. It includes the tokens of leases and of a store without
// persistence, so it may only be passed to a successor in memory, never written to a
// file.
func (s *Store) Export() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.encode(true)
}

// Import adds the tokens from a predecessor's Export. Tokens that are already known from
// the file are replaced, because the predecessor's windows are newer. The token of a
// lease is valid for reclaimTime unless Restore is called for it.
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
	if s.pending != nil { // the predecessor knew the contents of the sealed file
		close(s.pending)
		s.pending = nil
	}
	return nil
}

// RevokeHash revokes the token with this hash, in memory only. A successor calls it in
// its predecessor, which still serves earlier requests; the successor writes the file. An
// unknown hash is ignored.
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

// OnCharge registers a function that is called with the hash, in hex, of each token whose
// rate limit is charged from now on. A predecessor uses it to report its requests to its
// successor. fn must not block.
func (s *Store) OnCharge(fn func(hash string)) { s.onCharge.Store(&fn) }

// forwardCharges calls the function passed to OnCharge for every limit that a request of
// e counts against.
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

// ChargeHash counts a request that a predecessor has admitted against the token with this
// hash. An unknown hash is ignored.
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
