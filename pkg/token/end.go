package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// Refresh renews a token, given in full or by a unique prefix: it is valid for its
// original TTL from now. It never shortens a token's life and never renews an expired
// one.
func (s *Store) Refresh(ctx context.Context, ref secret.String) (time.Duration, error) {
	s.mu.Lock()
	e, err := s.find(ref.Reveal())
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	now := s.now()
	e.mu.Lock()
	if !now.Before(e.expires) {
		e.mu.Unlock()
		s.mu.Unlock()
		return 0, &fault.Error{Kind: fault.Expired, Message: MessageExpired, Next: "hostless token create"}
	}
	if until := now.Add(e.ttl); until.After(e.expires) {
		e.expires = until
	}
	left := e.expires.Sub(now)
	e.mu.Unlock()
	change := s.changed()
	s.mu.Unlock()
	if e.lease {
		return left, nil
	}
	return left, s.commit(change)
}

// Revoke revokes a token, given in full or by a unique prefix, and closes Done of its
// grants. The token is revoked in this process even if writing the file fails.
func (s *Store) Revoke(ctx context.Context, ref secret.String) error {
	s.mu.Lock()
	e, err := s.find(ref.Reveal())
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.end(e)
	change := s.changed()
	s.mu.Unlock()
	return s.commit(change)
}

// Release ends the token of a lease and closes Done of its grants. It does not remember
// the token, so the lease's client can restore it. Other tokens are not affected.
func (s *Store) Release(bearer secret.String) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := sha256.Sum256([]byte(bearer.Reveal()))
	if e := s.entries[hash]; e != nil && e.lease && !e.revoked() {
		s.end(e)
		delete(s.entries, hash)
	}
}

// RevokeBound revokes all tokens bound to a host name, except the tokens of leases, which
// end with their lease, and keep, unless that is empty.
func (s *Store) RevokeBound(ctx context.Context, hostname string, keep secret.String) error {
	kept := sha256.Sum256([]byte(keep.Reveal()))
	s.mu.Lock()
	n := 0
	for _, e := range s.entries {
		if e.bound == hostname && e.hash != kept && !e.lease && hostname != "" && e.live(s.now()) {
			s.end(e)
			n++
		}
	}
	if n == 0 {
		s.mu.Unlock()
		return nil
	}
	change := s.changed()
	s.mu.Unlock()
	return s.commit(change)
}

// RevokeUnbound revokes the tokens bound to host names for which holds returns false,
// because their route was removed while the daemon was not running.
func (s *Store) RevokeUnbound(ctx context.Context, holds func(hostname string) bool) error {
	s.mu.RLock()
	dropped := map[string]bool{}
	for _, e := range s.entries {
		if e.bound != "" && !holds(e.bound) {
			dropped[e.bound] = true
		}
	}
	s.mu.RUnlock()
	var errs []error
	for hostname := range dropped {
		errs = append(errs, s.RevokeBound(ctx, hostname, secret.String{}))
	}
	return errors.Join(errs...)
}

// end revokes an entry. The token of a lease is remembered, so that the lease's client
// cannot restore it. s.mu must be held.
func (s *Store) end(e *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended.IsZero() {
		e.ended = s.now()
		e.revocation.cancel()
		if s.onRevoked != nil {
			s.onRevoked(hex.EncodeToString(e.hash[:]))
		}
	}
	if !e.lease {
		delete(s.entries, e.hash)
	}
}

// find returns the token for ref, which is a complete token or a prefix. It finds expired
// tokens, but not revoked ones. s.mu must be held.
func (s *Store) find(ref string) (*entry, error) {
	unknown := &fault.Error{Kind: fault.NotFound, Message: "no such bridge token", Next: "hostless token list", Param: "token"}
	if e := s.entries[sha256.Sum256([]byte(ref))]; e != nil && !e.revoked() {
		return e, nil
	}
	if !strings.HasPrefix(ref, Prefix) {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "token must begin with " + Prefix, Next: "hostless token list", Param: "token"}
	}
	if len(ref) < shown {
		return nil, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("token is shorter than %s and 8 characters", Prefix), Next: "hostless token list", Param: "token"}
	}
	var found *entry
	for _, e := range s.entries {
		if !s.hasPrefix(e, ref) || e.revoked() {
			continue
		}
		if found != nil {
			return nil, &fault.Error{Kind: fault.Conflict, Message: "more than one bridge token begins with " + ref[:shown], Next: "give the whole token", Param: "token"}
		}
		found = e
	}
	if found == nil {
		return nil, unknown
	}
	return found, nil
}

// hashPrefixes returns hashes of all beginnings of a token that are longer than its shown
// prefix, so that a longer reference to it can be verified without storing the token. The
// hashes are specific to this process and never stored.
func (s *Store) hashPrefixes(text string) []uint64 {
	prefixHashes := make([]uint64, 0, len(text)-shown)
	for n := shown + 1; n <= len(text); n++ {
		prefixHashes = append(prefixHashes, maphash.String(s.seed, text[:n]))
	}
	return prefixHashes
}

// hasPrefix reports whether a token begins with ref, which is at least as long as the
// shown prefix. For a token that was read from disk only the prefix is known; but if ref
// were the complete token, its hash would have matched.
func (s *Store) hasPrefix(e *entry, ref string) bool {
	more := len(ref) - shown
	switch {
	case e.prefix != ref[:shown]:
		return false
	case more == 0:
		return true
	case e.prefixHashes == nil:
		return len(ref) < whole
	}
	return more <= len(e.prefixHashes) && e.prefixHashes[more-1] == maphash.String(s.seed, ref)
}
