package token

import (
	"context"
	"slices"
)

// maxPerOrigin is how many tokens of one origin and name live at once.
const maxPerOrigin = 16

// MintForOrigin is Mint for an app that may come again: the requests of the new token
// are charged to the limits of the origin's live tokens of the same name as well, so
// that asking anew gives no more requests, and the oldest of too many ends.
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

// RevokeOrigin ends the tokens of a name that are bound to an origin, and closes Done
// of their grants. It gives how many there were.
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

// ofOrigin gives the live tokens of an origin and a name, the oldest first.
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
