package token

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// List returns the live tokens, oldest first.
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

// Live returns the number of live tokens.
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

// OwnsOrigin reports whether a live token is bound to the origin, whose pages may then
// read the gateway's responses.
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

// prune removes tokens that expired at least expiredRetention ago or were revoked at least
// maxRevokedMemory ago. s.mu must be held.
func (s *Store) prune() {
	now := s.now()
	s.pruned = now
	for hash, e := range s.entries {
		e.mu.Lock()
		expired := !now.Before(e.expires.Add(expiredRetention)) || (!e.ended.IsZero() && !now.Before(e.ended.Add(maxRevokedMemory)))
		e.mu.Unlock()
		if expired {
			delete(s.entries, hash)
		}
	}
}

// pruneAlways is the number of tokens below which the store is pruned for each new token.
// From this number on, it is pruned at most once a minute, because pruning visits every
// token.
const pruneAlways = 1024

// maxRevokedMemory is how long the revoked token of a lease is remembered, so that the
// lease's client cannot restore it. A client does not stay disconnected longer than that.
const maxRevokedMemory = 7 * 24 * time.Hour
