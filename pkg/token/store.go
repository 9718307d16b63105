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
	// Prefix is the beginning of every bridge token.
	Prefix = "sk_local_"
	// DefaultTTL is the lifetime of a token made without a TTL.
	DefaultTTL = 24 * time.Hour

	shown            = len(Prefix) + 8 // length of the part that may be shown and stored
	expiredRetention = 24 * time.Hour  // how long an expired token is distinguished from an unknown one
	maxTTL           = 10 * 365 * 24 * time.Hour
	minSecret        = 43               // 256 bits in base64
	whole            = len(Prefix) + 64 // length of the tokens that are made here
	maxSecret        = 128
	maxName          = 128
)

// Messages of 401 responses, which clients may depend on.
const (
	MessageUnknown = "Invalid or unknown bridge token"
	MessageExpired = "Bridge token has expired"
)

// Config configures a Store.
type Config struct {
	// Path is tokens.json; required unless Persistence stays off.
	Path string
	// Persistence is config.PersistOff (the zero value), PersistFile or PersistKeychain.
	// With the last, the file is sealed if Sealer has a vault; without one it contains
	// only hashes, from which no token can be derived.
	Persistence string
	Sealer      Sealer           // nil means none
	Now         func() time.Time // time.Now when nil
	Rand        io.Reader        // crypto/rand when nil
	Logger      *slog.Logger     // discards when nil
	// Ports are the ports that the daemon serves. An app's token is valid for the app's
	// origin on each of them.
	Ports []int
	// Domains returns the domains under which apps are served besides localhost; it may
	// be nil.
	Domains func() appname.Domains
	// Revoked is called with the hash, in hex, of each revoked token, with the store
	// locked. It must not block or call the store. It may be nil.
	Revoked func(hash string)
}

// Store holds the bridge tokens. It is safe for concurrent use.
type Store struct {
	path string
	now  func() time.Time
	rand io.Reader
	log  *slog.Logger
	seed maphash.Seed // for prefixHashes

	onRevoked func(hash string)
	onCharge  atomic.Pointer[func(hash string)]
	sealer    Sealer
	ports     []int
	domains   func() appname.Domains

	mu      sync.RWMutex
	entries map[[sha256.Size]byte]*entry
	persist bool
	mode    string        // persistence
	pending chan struct{} // closed when a sealed file has been opened; nil if none is waiting
	change  uint64        // counter of changes to the persisted state
	pruned  time.Time     // when prune last ran

	writing sync.Mutex // held while the file is written; locked before mu
	written uint64     // the change that the file contains

	shared sync.Mutex // held while the limits of several entries are charged; locked before their mutexes
}

// entry is one token. The fields above mu do not change.
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
	mcp          bool       // only for the MCP server
	revocation   revocation // canceled when the token is revoked
	parents      []*entry   // tokens whose limits are charged as well
	prefixHashes []uint64   // hashes of the token's beginnings longer than prefix, see hashPrefixes; nil if unknown

	mu      sync.Mutex
	expires time.Time
	ended   time.Time // time of revocation, or zero
	limiter limiter
}

// Request describes a token to make.
type Request struct {
	Origin    string // exact origin, or AnyOrigin; "" means AnyOrigin
	Name      string // name of the app, for display
	Scope     Scope
	RateLimit int           // requests per hour; 0 means unlimited
	TTL       time.Duration // 0 means DefaultTTL
	Bound     string        // host name; the token is revoked when its routes are removed; or ""
	Lease     bool          // belongs to a lease: never written to disk
	MCP       bool          // only for the MCP server, and for no model; see VerifyMCP
	// Parents are tokens whose rate limits are charged as well. Unknown ones are ignored.
	Parents []secret.String
}

// Minted is a new token. Its text is not available later.
type Minted struct {
	Secret    secret.String
	ExpiresIn time.Duration
	Info
}

// Info is the public information about a token.
type Info struct {
	Prefix    string // the constant Prefix and eight characters
	Origin    string
	Name      string
	Scope     Scope
	RateLimit int
	Expires   time.Time
	Created   time.Time
	Bound     string
	MCP       bool
}

// New returns a store with the persisted tokens. A file that cannot be read is kept
// aside, logged and reported in the warnings, and the store starts empty. If persistence
// is off, a left-over file is removed, so that its tokens do not become valid again
// later.
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
	return false, fault.New(fault.Invalid, fmt.Sprintf("token persistence must be off, file or keychain, not %q", mode))
}

// Mint makes a token with 256 random bits. When it returns, a persisted token is on disk.
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

// text returns the text of a new token.
func (s *Store) text() (string, error) {
	var bits [32]byte
	if _, err := io.ReadFull(s.rand, bits[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return Prefix + hex.EncodeToString(bits[:]), nil
}

// Restore makes a token valid again that an earlier daemon made and the client of a lease
// holds, with the terms of req. The error is fault.Unauthenticated if the token was
// revoked, and fault.Invalid if it is not well-formed.
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

// wellFormed reports whether text has the form of a complete token.
func wellFormed(text string) bool {
	body, ok := strings.CutPrefix(text, Prefix)
	return ok && len(body) >= minSecret && len(body) <= maxSecret && !strings.ContainsFunc(body, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// Validate checks the scope, rate limit, TTL and name of a request. The error is
// fault.Invalid.
func (req Request) Validate() error {
	if err := req.Scope.Validate(); err != nil {
		return err
	}
	switch {
	case req.RateLimit < 0:
		return &fault.Error{Kind: fault.Invalid, Message: "rate_limit must be a number of requests per hour, 0 for no limit", Param: "rate_limit"}
	case req.TTL < 0 || req.TTL > maxTTL:
		return &fault.Error{Kind: fault.Invalid, Message: "ttl must be a number of seconds, at most ten years", Param: "ttl"}
	case len(req.Name) > maxName:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("name is longer than %d bytes", maxName), Param: "name"}
	case req.MCP && (req.Lease || req.Bound != "" || req.Origin != "" && req.Origin != AnyOrigin):
		return &fault.Error{Kind: fault.Invalid, Message: "a token for /mcp is of no app and no web page: it has no origin", Param: "origin"}
	case req.MCP && len(req.Scope.Providers)+len(req.Scope.Models) > 0:
		return &fault.Error{Kind: fault.Invalid, Message: "a token for /mcp reaches no model: it has no providers and models", Param: "mcp"}
	}
	return nil
}

// prepare validates a request and returns its entry without a hash.
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
	ttl = max(ttl, time.Second) // the file stores seconds
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
		bound: req.Bound, lease: req.Lease, mcp: req.MCP, parents: parents, revocation: newRevocation(), limiter: limiter{limit: req.RateLimit},
	}, nil
}

// add adds an entry under the hash of its token and persists it.
func (s *Store) add(e *entry, text string) (Minted, error) {
	e.hash = sha256.Sum256([]byte(text))
	e.prefix = text[:shown]
	e.prefixHashes = s.hashPrefixes(text)
	s.mu.Lock()
	if len(s.entries) < pruneAlways || s.now().Sub(s.pruned) >= time.Minute {
		s.prune()
	}
	old := s.entries[e.hash]
	if old != nil {
		old.mu.Lock()
		revoked := !old.ended.IsZero()
		e.limiter.times = append([]time.Time(nil), old.limiter.times[old.limiter.head:]...)
		old.mu.Unlock()
		if revoked || old.mcp {
			s.mu.Unlock()
			return Minted{}, fault.New(fault.Unauthenticated, MessageUnknown)
		}
		e.revocation = old.revocation // streams under the old terms are canceled with the new token
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

// Verify authenticates a client of the AI plane by its token and its Origin header ("" if
// it sent none). The error is fault.Unauthenticated, fault.Expired, fault.Origin, or
// fault.Scope for a token of the MCP server. It does not count a request; see Grant.Admit.
func (s *Store) Verify(bearer secret.String, origin string) (*Grant, error) {
	g, err := s.known(bearer, origin)
	if err != nil {
		return nil, err
	}
	if g.entry.mcp {
		return nil, fault.New(fault.Scope, "This bridge token is only for /mcp")
	}
	if !originMatches(g.entry.origin, origin, s.ports, s.domains()) {
		return nil, fault.New(fault.Origin, fmt.Sprintf("Origin %q is not the one that this bridge token is bound to", cut(origin)))
	}
	return g, nil
}

// VerifyMCP authenticates a client of the MCP server by a token that was created for it.
// For every other token, known or not, the error is the same fault.Unauthenticated. It is
// fault.Locked while the tokens are sealed in a locked vault.
func (s *Store) VerifyMCP(bearer secret.String) (*Grant, error) {
	g, err := s.known(bearer, "")
	if fault.Is(err, fault.Locked) {
		return nil, err
	}
	if err != nil || !g.entry.mcp {
		return nil, fault.New(fault.Unauthenticated, MessageUnknown)
	}
	return g, nil
}

// HasMCP reports whether there is a live token for the MCP server.
func (s *Store) HasMCP() bool {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.entries {
		if e.mcp && e.live(now) {
			return true
		}
	}
	return s.pending != nil // the tokens in the sealed file are not known yet
}

// known returns the live token that a client sent.
func (s *Store) known(bearer secret.String, origin string) (*Grant, error) {
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
	// The map lookup can only leak how much of a hash, which the attacker cannot choose
	// freely, equals a stored one. The constant-time comparison is an extra precaution.
	if e == nil || subtle.ConstantTimeCompare(hash[:], e.hash[:]) != 1 {
		return nil, fault.New(fault.Unauthenticated, MessageUnknown)
	}
	g := &Grant{store: s, entry: e, presented: origin}
	if err := g.Check(); err != nil {
		return nil, err
	}
	return g, nil
}

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
