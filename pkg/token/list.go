package token

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// List tells the live tokens, oldest first.
func (s *Store) List() []Info {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []Info{}
	for _, e := range s.entries {
		if e.live(now) {
			out = append(out, e.info())
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Prefix, b.Prefix))
	})
	return out
}

// Live counts the tokens that would let a caller in now.
func (s *Store) Live() int {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, e := range s.entries {
		if e.live(now) {
			n++
		}
	}
	return n
}

// OwnsOrigin reports whether a live token is bound to the origin: its page may
// then read the gateway's answers.
func (s *Store) OwnsOrigin(origin string) bool {
	origin, err := config.NormalizeOrigin(origin)
	if err != nil {
		return false
	}
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.entries {
		if e.origin != AnyOrigin && originMatches(e.origin, origin, s.ports, s.domains()) && e.live(now) {
			return true
		}
	}
	return false
}

// prune forgets what ended longer than expiredRetention ago; s.mu is held.
func (s *Store) prune() {
	now := s.now()
	for hash, e := range s.entries {
		e.mu.Lock()
		expired := !now.Before(e.expires.Add(expiredRetention)) || (!e.ended.IsZero() && !now.Before(e.ended.Add(maxRevokedMemory)))
		e.mu.Unlock()
		if expired {
			delete(s.entries, hash)
		}
	}
}

// maxRevokedMemory is how long a revoked token is remembered, so that a lease's
// client that holds it cannot bring it back. Its client gets no older than that
// without notice.
const maxRevokedMemory = 7 * 24 * time.Hour
