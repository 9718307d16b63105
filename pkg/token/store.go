package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
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
