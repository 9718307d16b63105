package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

const (
	// Prefix opens every bridge token.
	Prefix = "sk_local_"
	// DefaultTTL is how long a token lasts that was asked for without a time.
	DefaultTTL = 24 * time.Hour

	shown            = len(Prefix) + 8 // how much of a token may be shown and stored
	expiredRetention = 24 * time.Hour  // how long an expired token is distinguished from an unknown one
	maxTTL           = 10 * 365 * 24 * time.Hour
	minSecret        = 43               // 256 bits in base64
	whole            = len(Prefix) + 64 // how long the tokens are that are made here
	maxSecret        = 128
	maxName          = 128
)

// The words of a 401, which clients look for.
const (
	MessageUnknown = "Invalid or unknown bridge token"
	MessageExpired = "Bridge token has expired"
)

// Config is what a Store needs.
type Config struct {
	// Path is tokens.json; required unless Persistence stays off.
	Path string
	// Persistence is config.PersistOff (the zero value), PersistFile or
	// PersistKeychain. The last seals the same file, where Sealer has a vault; else
	// it holds hashes alone, from which no token can be made.
	Persistence string
	Sealer      Sealer           // none when nil
	Now         func() time.Time // time.Now when nil
	Rand        io.Reader        // crypto/rand when nil
	Logger      *slog.Logger     // discards when nil
	// Ports are those that the daemon serves on: an app's token is good from its
	// origin at each of them.
	Ports []int
	// Domains are names below which apps are served besides localhost; nil is none.
	Domains func() appname.Domains
	// Revoked is called with the hash, in hex, of each token that is revoked, with
	// the store locked: it must return at once and not call it. Nil is nobody.
	Revoked func(hash string)
}

// Store keeps the bridge tokens. It is safe for concurrent use.
type Store struct {
	path string
	now  func() time.Time
	rand io.Reader
	log  *slog.Logger
	seed maphash.Seed // of prefixHashes

	onRevoked func(hash string)
	onCharge  atomic.Pointer[func(hash string)]
	sealer    Sealer
	ports     []int
	domains   func() appname.Domains

	mu      sync.RWMutex
	entries map[[sha256.Size]byte]*entry
	persist bool
	mode    string        // of persistence
	pending chan struct{} // closed once a sealed file was opened; nil where none waits
	change  uint64        // counts changes of what is persisted

	writing sync.Mutex // held while the file is written; before mu
	written uint64     // the change that the file holds

	shared sync.Mutex // held while more than one entry's limit is charged; before theirs
}

// entry is one token. What is above the mutex never changes.
type entry struct {
	hash         [sha256.Size]byte
	prefix       string
	origin       string
	name         string
	scope        Scope
	rate         int
	ttl          time.Duration
	created      time.Time
	bound        string
	lease        bool
	revocation   revocation // ends when the token is revoked
	parents      []*entry   // whose limits count too
	prefixHashes []uint64   // of what goes past the prefix, see hashPrefixes; nil where that is not known

	mu      sync.Mutex
	expires time.Time
	ended   time.Time // when it was revoked, or zero
	limiter limiter
}

// Request says what token to make.
type Request struct {
	Origin    string // exact, or AnyOrigin; "" is AnyOrigin
	Name      string // the app's, for people
	Scope     Scope
	RateLimit int           // requests per hour; 0 is unlimited
	TTL       time.Duration // 0 is DefaultTTL
	Bound     string        // the hostname that the token goes with, or ""
	Lease     bool          // lives as long as a lease: never written to disk
	// Parents are tokens whose rate limits the requests of this one are charged to
	// as well. Those that are not known are passed over.
	Parents []secret.String
}

// Minted is a new token: the only time that its text is known.
type Minted struct {
	Secret    secret.String
	ExpiresIn time.Duration
	Info
}

// Info is what may be shown of a token.
type Info struct {
	Prefix    string // Prefix and eight characters
	Origin    string
	Name      string
	Scope     Scope
	RateLimit int
	Expires   time.Time
	Created   time.Time
	Bound     string
}

// New makes a store and, where tokens are persisted, reads them. A file that
// cannot be read as tokens is kept aside, logged and reported by the second result:
// the store then starts empty. With persistence off a left-over file is removed,
// lest its tokens come alive again later.
func New(cfg Config) (*Store, []string, error) {
	s := &Store{path: cfg.Path, now: cfg.Now, rand: cfg.Rand, log: cfg.Logger, seed: maphash.MakeSeed(), onRevoked: cfg.Revoked, ports: cfg.Ports, domains: cfg.Domains, entries: map[[sha256.Size]byte]*entry{}}
	if s.domains == nil {
		s.domains = func() appname.Domains { return nil }
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	persist, err := persists(cfg.Persistence)
	if err != nil {
		return nil, nil, err
	}
	if persist && s.path == "" {
		return nil, nil, fmt.Errorf("token persistence needs a path")
	}
	s.persist, s.mode, s.sealer = persist, cfg.Persistence, cfg.Sealer
	if !persist {
		return s, nil, s.removeFile()
	}
	warnings, err := s.load()
	return s, warnings, err
}

func persists(mode string) (bool, error) {
	switch mode {
	case "", config.PersistOff:
		return false, nil
	case config.PersistFile, config.PersistKeychain:
		return true, nil
	}
	return false, fault.New(fault.Invalid, fmt.Sprintf("token persistence is off, file or keychain, not %q", mode))
}

// Mint makes a token of 256 random bits. Where tokens are persisted it is on
// disk when Mint returns.
func (s *Store) Mint(ctx context.Context, req Request) (Minted, error) {
	e, err := s.prepare(req)
	if err != nil {
		return Minted{}, err
	}
	text, err := s.text()
	if err != nil {
		return Minted{}, err
	}
	return s.add(e, text)
}

// text makes the text of a new token.
func (s *Store) text() (string, error) {
	var bits [32]byte
	if _, err := io.ReadFull(s.rand, bits[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return Prefix + hex.EncodeToString(bits[:]), nil
}

// Restore takes up a token again that was made by an earlier daemon and is held by
// the client of a lease: the same text is valid afterwards, on the terms of req.
// A lease's token that was revoked is fault.Unauthenticated, one that has no token's form
// fault.Invalid.
func (s *Store) Restore(ctx context.Context, old secret.String, req Request) (Minted, error) {
	text := old.Reveal()
	if !wellFormed(text) {
		return Minted{}, &fault.Error{Kind: fault.Invalid, Message: "token is not a bridge token", Param: "token"}
	}
	e, err := s.prepare(req)
	if err != nil {
		return Minted{}, err
	}
	return s.add(e, text)
}

// wellFormed reports whether text has the form of a whole token.
func wellFormed(text string) bool {
	body, ok := strings.CutPrefix(text, Prefix)
	return ok && len(body) >= minSecret && len(body) <= maxSecret && !strings.ContainsFunc(body, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// Validate checks what can be known of a request before anything is changed for it:
// scope, rate limit, time and name. The error is fault.Invalid.
func (req Request) Validate() error {
	if err := req.Scope.Validate(); err != nil {
		return err
	}
	switch {
	case req.RateLimit < 0:
		return &fault.Error{Kind: fault.Invalid, Message: "rate_limit is a number of requests per hour, 0 for no limit", Param: "rate_limit"}
	case req.TTL < 0 || req.TTL > maxTTL:
		return &fault.Error{Kind: fault.Invalid, Message: "ttl is a number of seconds, at most ten years", Param: "ttl"}
	case len(req.Name) > maxName:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("name is longer than %d bytes", maxName), Param: "name"}
	}
	return nil
}

// prepare checks a request and makes an entry of it, without its hash.
func (s *Store) prepare(req Request) (*entry, error) {
	origin := req.Origin
	if origin == "" {
		origin = AnyOrigin
	}
	if origin != AnyOrigin {
		var err error
		if origin, err = config.NormalizeOrigin(origin); err != nil {
			return nil, err
		}
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	ttl := req.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	ttl = max(ttl, time.Second) // the file counts in seconds
	var parents []*entry
	s.mu.RLock()
	for _, outer := range req.Parents {
		if e := s.entries[sha256.Sum256([]byte(outer.Reveal()))]; e != nil && !slices.Contains(parents, e) {
			parents = append(parents, e)
		}
	}
	s.mu.RUnlock()
	now := s.now()
	return &entry{
		origin: origin, name: req.Name, rate: req.RateLimit, ttl: ttl, created: now, expires: now.Add(ttl),
		scope: Scope{Providers: slices.Clone(req.Scope.Providers), Models: slices.Clone(req.Scope.Models)},
		bound: req.Bound, lease: req.Lease, parents: parents, revocation: newRevocation(), limiter: limiter{limit: req.RateLimit},
	}, nil
}

// add puts an entry in under its token's hash and makes it durable.
func (s *Store) add(e *entry, text string) (Minted, error) {
	e.hash = sha256.Sum256([]byte(text))
	e.prefix = text[:shown]
	e.prefixHashes = s.hashPrefixes(text)
	s.mu.Lock()
	s.prune()
	old := s.entries[e.hash]
	if old != nil {
		old.mu.Lock()
		revoked := !old.ended.IsZero()
		e.limiter.times = append([]time.Time(nil), old.limiter.times[old.limiter.head:]...)
		old.mu.Unlock()
		if revoked {
			s.mu.Unlock()
			return Minted{}, fault.New(fault.Unauthenticated, MessageUnknown)
		}
		e.revocation = old.revocation // what streams under the old terms ends with the new
	}
	s.entries[e.hash] = e
	change := s.changed()
	s.mu.Unlock()
	if !e.lease || (old != nil && !old.lease) {
		if err := s.commit(change); err != nil {
			s.mu.Lock()
			if s.entries[e.hash] == e {
				delete(s.entries, e.hash)
				if old != nil {
					s.entries[e.hash] = old
				}
			}
			s.mu.Unlock()
			return Minted{}, err
		}
	}
	return Minted{Secret: secret.New(text), ExpiresIn: e.ttl, Info: e.info()}, nil
}

// Verify lets a caller in by its token and the Origin that it sent ("" for
// none). The errors are fault.Unauthenticated, fault.Expired and fault.Origin.
// It charges nothing: see Grant.Admit.
func (s *Store) Verify(bearer secret.String, origin string) (*Grant, error) {
	hash := sha256.Sum256([]byte(bearer.Reveal()))
	s.mu.RLock()
	e := s.entries[hash]
	s.mu.RUnlock()
	if e == nil {
		if err := s.awaitSealed(); err != nil {
			return nil, err
		}
		s.mu.RLock()
		e = s.entries[hash]
		s.mu.RUnlock()
	}
	// The map's lookup leaks at most how much of a hash of the attacker's own
	// making it shares with a stored one; the comparison is for good measure.
	if e == nil || subtle.ConstantTimeCompare(hash[:], e.hash[:]) != 1 {
		return nil, fault.New(fault.Unauthenticated, MessageUnknown)
	}
	g := &Grant{store: s, entry: e, presented: origin}
	if err := g.Check(); err != nil {
		return nil, err
	}
	if !originMatches(e.origin, origin, s.ports, s.domains()) {
		return nil, fault.New(fault.Origin, fmt.Sprintf("Origin %q is not the one that this bridge token is bound to", cut(origin)))
	}
	return g, nil
}

// Refresh lets a token, given whole or by a unique prefix, last for its first
// time again from now. It never shortens a token and never revives one.
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

// Revoke ends a token, given whole or by a unique prefix, and closes Done of
// its grants. It has ended in this process even where an error says that the
// file could not be written.
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

// Release ends the token of a lease and closes Done of its grants. It leaves no
// trace: the lease's client may have the token restored. A token that is
// no lease's, or unknown, stays as it is.
func (s *Store) Release(bearer secret.String) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := sha256.Sum256([]byte(bearer.Reveal()))
	if e := s.entries[hash]; e != nil && e.lease && !e.revoked() {
		s.end(e)
		delete(s.entries, hash)
	}
}

// RevokeBound ends all tokens that go with a hostname, save those of leases,
// which end with their lease, and keep, unless it is empty.
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

// RevokeUnbound ends the tokens that go with a hostname which holds says no route
// has any more: the daemon was down when it went.
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

// end revokes an entry; s.mu is held. That of a lease is remembered, since the
// lease's client would have it restored.
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

// find finds the token that ref, whole or a prefix, stands for; s.mu is held.
// Revoked ones are not found, expired ones are.
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

// hashPrefixes hashes each beginning of a token that is longer than its prefix, so that
// a longer reference to it can be checked without its text being kept. The hashes
// are of this process alone and never stored.
func (s *Store) hashPrefixes(text string) []uint64 {
	prefixHashes := make([]uint64, 0, len(text)-shown)
	for n := shown + 1; n <= len(text); n++ {
		prefixHashes = append(prefixHashes, maphash.String(s.seed, text[:n]))
	}
	return prefixHashes
}

// hasPrefix reports whether ref, at least a prefix long, is how a token begins. Of
// one that was read from disk no more is known than the prefix and that a whole
// token would have had its hash.
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
