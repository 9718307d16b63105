package token

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// fileVersion is the version of the format of tokens.json.
const fileVersion = 1

// maxWindow is the maximum number of individual request times that are written per token.
// If there are more, runs of requests are combined.
const maxWindow = 4096

// maxRun is the maximum number of requests accepted from the file per token.
const maxRun = 1 << 20

type file struct {
	Version int      `json:"version"`
	Tokens  []record `json:"tokens"`
}

// record is one token on disk: its hash, never the token itself.
type record struct {
	Hash      string    `json:"sha256"`
	Prefix    string    `json:"token_prefix"`
	Origin    string    `json:"origin"`
	Name      string    `json:"name"`
	Providers []string  `json:"allowed_providers"`
	Models    []string  `json:"allowed_models"`
	RateLimit int       `json:"rate_limit"`
	TTL       int64     `json:"ttl"`
	Created   time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at"`
	Bound     string    `json:"bound,omitempty"`
	MCP       bool      `json:"mcp,omitempty"`
	Revoked   time.Time `json:"revoked_at,omitzero"`
	Recent    []int64   `json:"recent,omitempty"` // requests in the last hour, as Unix milliseconds
	// RecentRuns replaces Recent if there are many requests: the time of the last request
	// of a run, and the number of requests in it.
	RecentRuns [][2]int64 `json:"recent_runs,omitempty"`

	Lease bool `json:"lease,omitempty"` // only in an Export, never in the file
}

// changed records a change of the persisted state. s.mu must be held.
func (s *Store) changed() uint64 {
	s.change++
	return s.change
}

// commit returns when the file contains the change. Callers that wait while another one
// writes are served together by the next write, so that a burst of changes needs only a
// few syncs.
func (s *Store) commit(change uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if !s.persist || s.written >= change {
		s.mu.Unlock()
		return nil
	}
	if s.pending != nil { // the contents of the file are not known yet
		s.mu.Unlock()
		return errPending()
	}
	mode := s.mode
	s.prune()
	data, upTo := s.encode(false), s.change
	s.mu.Unlock()
	data, err := s.seal(mode, data)
	if err != nil {
		return err
	}
	if err := config.WritePrivate(s.path, data); err != nil {
		return fmt.Errorf("persist tokens: %w", err)
	}
	s.written = upTo
	return nil
}

// encode encodes the persisted tokens, or all of them. s.mu must be held.
func (s *Store) encode(all bool) []byte {
	f := file{Version: fileVersion, Tokens: []record{}}
	now := s.now()
	for _, e := range s.entries {
		e.mu.Lock()
		if all || !e.lease || !e.ended.IsZero() {
			r := record{
				Hash: hex.EncodeToString(e.hash[:]), Prefix: e.prefix, Origin: e.origin, Name: e.name,
				Providers: list(e.scope.Providers), Models: list(e.scope.Models), RateLimit: e.rate,
				TTL: int64(e.ttl / time.Second), Created: e.created, Expires: e.expires, Bound: e.bound, MCP: e.mcp, Revoked: e.ended, Lease: all && e.lease,
			}
			if recent := e.limiter.recent(now); all || len(recent) <= maxWindow {
				r.Recent = recent
			} else {
				r.RecentRuns = runs(recent)
			}
			f.Tokens = append(f.Tokens, r)
		}
		e.mu.Unlock()
	}
	slices.SortFunc(f.Tokens, func(a, b record) int { return strings.Compare(a.Hash, b.Hash) })
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		panic(err) // plain values always marshal
	}
	return append(data, '\n')
}

// runs combines request times into runs with the time of the last request of each, so
// that a limit is never less strict after it was written and read.
func runs(times []int64) (out [][2]int64) {
	size := (len(times) + maxWindow - 1) / maxWindow
	for run := range slices.Chunk(times, size) {
		out = append(out, [2]int64{run[len(run)-1], int64(len(run))})
	}
	return out
}

func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}

// load fills the empty store from the file.
func (s *Store) load() (warnings []string, err error) {
	data, opened, err := config.ReadPrivate(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	if opened {
		warnings = append(warnings, s.path+" was readable by others; its permissions have been corrected")
	}
	plain, bad := s.unseal(data)
	if fault.Is(bad, fault.Locked) {
		s.pending = make(chan struct{}) // read by Unlocked
		return warnings, nil
	}
	var entries []*entry
	if bad == nil {
		entries, bad = decode(plain)
	}
	if bad != nil {
		aside, err := config.KeepAside(s.path, s.now())
		if err != nil {
			return warnings, fmt.Errorf("read tokens: %w: %w", bad, err)
		}
		s.log.Warn("token file cannot be read and is kept aside", "path", aside, "error", bad)
		return append(warnings, fmt.Sprintf("%s could not be read; it is kept as %s and none of its tokens is valid", s.path, aside)), nil
	}
	for _, e := range entries {
		s.entries[e.hash] = e
	}
	s.prune()
	return warnings, nil
}

// decode decodes a file's tokens, or none if any part of the file is invalid.
func decode(data []byte) ([]*entry, error) {
	var f file
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&f); err != nil {
		return nil, err
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("version %d, not %d", f.Version, fileVersion)
	}
	var out []*entry
	for i, r := range f.Tokens {
		hash, err := hex.DecodeString(r.Hash)
		if err != nil || len(hash) != 32 || len(r.Prefix) != shown || !strings.HasPrefix(r.Prefix, Prefix) || r.Origin == "" || r.TTL <= 0 || r.RateLimit < 0 {
			return nil, fmt.Errorf("token %d is malformed", i)
		}
		e := &entry{
			hash: [32]byte(hash), prefix: r.Prefix, origin: r.Origin, name: r.Name, rate: r.RateLimit,
			scope: Scope{Providers: r.Providers, Models: r.Models}, ttl: time.Duration(r.TTL) * time.Second,
			created: r.Created, expires: r.Expires, bound: r.Bound, mcp: r.MCP, ended: r.Revoked, lease: r.Lease,
			revocation: newRevocation(), limiter: limiter{limit: r.RateLimit},
		}
		if err := e.scope.Validate(); err != nil {
			return nil, fmt.Errorf("token %d: %w", i, err)
		}
		if !e.ended.IsZero() {
			e.revocation.cancel()
		}
		for _, run := range r.RecentRuns {
			if run[1] < 0 || run[1] > maxRun-int64(len(e.limiter.times)) {
				return nil, fmt.Errorf("token %d is malformed", i)
			}
			for range run[1] {
				e.limiter.times = append(e.limiter.times, time.UnixMilli(run[0]))
			}
		}
		for _, t := range r.Recent {
			e.limiter.times = append(e.limiter.times, time.UnixMilli(t))
		}
		out = append(out, e)
	}
	return out, nil
}

// SetPersistence changes how tokens are persisted. Turning it on writes the file with all
// live tokens; turning it off removes the file.
func (s *Store) SetPersistence(mode string) error {
	persist, err := persists(mode)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if persist && s.path == "" {
		s.mu.Unlock()
		return errors.New("token persistence needs a path")
	}
	was, before := s.persist, s.mode
	s.persist, s.mode = persist, mode
	change := s.changed()
	s.mu.Unlock()
	switch {
	case persist && (!was || mode != before):
		return s.commit(change)
	case was && !persist:
		s.writing.Lock() // waits for a write in progress, so that the file stays removed
		defer s.writing.Unlock()
		return s.removeFile()
	}
	return nil
}

// Persistent reports whether tokens are kept across restarts.
func (s *Store) Persistent() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.persist
}

// Close writes pending changes, which are the use of rate limits. The store remains
// usable.
func (s *Store) Close() error {
	s.mu.Lock()
	change := s.changed()
	empty := len(s.entries) == 0
	s.mu.Unlock()
	if empty {
		return nil
	}
	if err := s.commit(change); !fault.Is(err, fault.Locked) {
		return err
	}
	s.log.Warn("rate limit usage cannot be stored: the key vault is locked")
	return nil
}

func (s *Store) removeFile() error {
	if s.path == "" {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove token file: %w", err)
	}
	return nil
}
