package token

import (
	"context"
	"slices"
)

// maxPerOrigin is the maximum number of live tokens per origin and name.
const maxPerOrigin = 16

// MintForOrigin is Mint for an app that may ask repeatedly. Requests with the new token
// also count against the limits of the origin's live tokens with the same name, so that
// asking again does not grant more requests. If there are too many tokens, the oldest is
// revoked.
func (s *Store) MintForOrigin(ctx context.Context, req Request) (Minted, error) {
	e, err := s.prepare(req)
	if err != nil {
		return Minted{}, err
	}
	others := s.ofOrigin(e.origin, e.name)
	for len(others) >= maxPerOrigin {
		s.mu.Lock()
		s.end(others[0])
		s.changed()
		s.mu.Unlock()
		others = others[1:]
	}
	e.parents = append(e.parents, others...)
	text, err := s.text()
	if err != nil {
		return Minted{}, err
	}
	return s.add(e, text)
}

// RevokeOrigin revokes the tokens with a name that are bound to an origin, and closes
// Done of their grants. It returns their number.
func (s *Store) RevokeOrigin(ctx context.Context, origin, name string) (int, error) {
	found := s.ofOrigin(origin, name)
	if len(found) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	for _, e := range found {
		s.end(e)
	}
	change := s.changed()
	s.mu.Unlock()
	return len(found), s.commit(change)
}

// ofOrigin returns the live tokens of an origin with a name, oldest first.
func (s *Store) ofOrigin(origin, name string) (found []*entry) {
	now := s.now()
	s.mu.RLock()
	for _, e := range s.entries {
		if e.origin == origin && e.name == name && !e.lease && e.live(now) {
			found = append(found, e)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(found, func(a, b *entry) int { return a.created.Compare(b.created) })
	return found
}
