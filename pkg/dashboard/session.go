package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/secret"
)

// The limits of links and sessions. Beyond them the oldest one ends.
const (
	linkLife    = 2 * time.Minute
	sessionIdle = 12 * time.Hour // after its last request
	maxLinks    = 16
	maxSessions = 16
)

// sessions holds the valid links and sessions, as hashes in memory only. They end with the
// process unless a successor takes them over. It is safe for concurrent use.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex
	links map[[32]byte]time.Time // expiry by hash
	open  map[[32]byte]time.Time // time of the last use by hash
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, links: map[[32]byte]time.Time{}, open: map[[32]byte]time.Time{}}
}

// newLink returns the secret of a new link.
func (s *sessions) newLink() secret.String {
	text := rand.Text() + rand.Text() // 260 bits
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	makeRoom(s.links, maxLinks)
	s.links[sha256.Sum256([]byte(text))] = s.now().Add(linkLife)
	return secret.New(text)
}

// exchange returns a new session for a link, which then ends.
func (s *sessions) exchange(link string) (session secret.String, ok bool) {
	key := sha256.Sum256([]byte(link))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	if _, ok := s.links[key]; !ok {
		return secret.String{}, false
	}
	delete(s.links, key)
	makeRoom(s.open, maxSessions)
	text := rand.Text() + rand.Text()
	s.open[sha256.Sum256([]byte(text))] = s.now()
	return secret.New(text), true
}

// valid reports whether a session is valid, and records its use.
func (s *sessions) valid(session string) bool {
	if session == "" {
		return false
	}
	key := sha256.Sum256([]byte(session))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	if _, ok := s.open[key]; !ok {
		return false
	}
	s.open[key] = s.now()
	return true
}

// prune removes what has expired. s.mu must be held.
func (s *sessions) prune() {
	now := s.now()
	for key, until := range s.links {
		if !now.Before(until) {
			delete(s.links, key)
		}
	}
	for key, used := range s.open {
		if now.Sub(used) >= sessionIdle {
			delete(s.open, key)
		}
	}
}

// makeRoom removes the oldest entries until there is room for one more.
func makeRoom(m map[[32]byte]time.Time, most int) {
	for len(m) >= most {
		var oldest [32]byte
		var when time.Time
		for key, t := range m {
			if when.IsZero() || t.Before(when) {
				oldest, when = key, t
			}
		}
		delete(m, oldest)
	}
}

// exported is what a successor takes over: times by the hash of each secret, in hex.
type exported struct {
	Links map[string]time.Time `json:"links"` // expiry by hash
	Open  map[string]time.Time `json:"open"`  // time of the last use by hash
}

func (s *sessions) export() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	e := exported{Links: map[string]time.Time{}, Open: map[string]time.Time{}}
	for key, t := range s.links {
		e.Links[hex.EncodeToString(key[:])] = t
	}
	for key, t := range s.open {
		e.Open[hex.EncodeToString(key[:])] = t
	}
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // hashes and times always marshal
	}
	return data
}

// adopt adds what another process has exported, within the same limits.
func (s *sessions) adopt(data json.RawMessage) error {
	var e exported
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("sessions of the page: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range []struct {
		from map[string]time.Time
		into map[[32]byte]time.Time
		most int
	}{{e.Links, s.links, maxLinks}, {e.Open, s.open, maxSessions}} {
		for text, t := range part.from {
			key, err := hex.DecodeString(text)
			if err != nil || len(key) != sha256.Size {
				return fmt.Errorf("sessions of the page: %.80q is no hash", text)
			}
			makeRoom(part.into, part.most)
			part.into[[32]byte(key)] = t
		}
	}
	s.prune()
	return nil
}
