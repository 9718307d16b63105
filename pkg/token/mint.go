package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

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
