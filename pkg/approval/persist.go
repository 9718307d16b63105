package approval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/token"
)

const fileVersion = 1

// file is the content of approvals.json. It holds no secrets: a token is made only when
// the app collects it.
type file struct {
	Version  int             `json:"version"`
	Requests []requestRecord `json:"requests"`
	Grants   []grantRecord   `json:"grants"`
}

type termsRecord struct {
	Providers []string `json:"allowed_providers"`
	Models    []string `json:"allowed_models"`
	RateLimit int      `json:"rate_limit"`
	TTL       int64    `json:"ttl,omitempty"` // seconds
}

type requestRecord struct {
	ID       string      `json:"id"`
	Origin   string      `json:"origin"`
	Callback string      `json:"callback,omitempty"`
	State    string      `json:"state,omitempty"`
	Process  string      `json:"process,omitempty"`
	Run      string      `json:"run,omitempty"`
	Asked    termsRecord `json:"asked"`
	Given    termsRecord `json:"given"`
	Answer   state       `json:"answer"`
	Created  time.Time   `json:"created_at"`
	Expires  time.Time   `json:"expires_at"`
}

type grantRecord struct {
	Origin  string      `json:"origin"`
	Asked   termsRecord `json:"asked"`
	Given   termsRecord `json:"given"`
	Created time.Time   `json:"created_at"`
	Expires time.Time   `json:"expires_at,omitzero"`
}

func (t Terms) record() termsRecord {
	return termsRecord{t.Scope.Providers, t.Scope.Models, t.RateLimit, int64(t.TTL / time.Second)}
}

func (t termsRecord) terms() Terms {
	return Terms{token.Scope{Providers: t.Providers, Models: t.Models}, t.RateLimit, time.Duration(t.TTL) * time.Second}
}

// write replaces the file with the current state if that has changed.
func (q *Queue) write() error {
	if q.path == "" {
		return nil
	}
	q.writing.Lock()
	defer q.writing.Unlock()
	if q.closed {
		return nil
	}
	f := file{Version: fileVersion, Requests: []requestRecord{}, Grants: []grantRecord{}}
	q.mu.Lock()
	if !q.dirty {
		q.mu.Unlock()
		return nil
	}
	q.dirty = false
	for _, e := range q.entries {
		r := e.req
		f.Requests = append(f.Requests, requestRecord{
			ID: e.id, Origin: r.Origin, Callback: r.Callback, State: r.State, Process: r.Process, Run: r.Run, Asked: Terms{Scope: r.Scope, RateLimit: r.RateLimit}.record(),
			Given: e.terms.record(), Answer: e.state, Created: e.created, Expires: e.expires,
		})
	}
	for _, g := range q.grants {
		f.Grants = append(f.Grants, grantRecord{g.Origin, g.Asked.record(), g.Terms.record(), g.CreatedAt, g.ExpiresAt})
	}
	q.mu.Unlock()
	data, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = config.WritePrivate(q.path, append(data, '\n'))
	}
	if err != nil {
		q.mu.Lock()
		q.dirty = true
		q.mu.Unlock()
	}
	return err
}

// load fills the empty queue from the file.
func (q *Queue) load() (warnings []string, err error) {
	if q.path == "" {
		return nil, nil
	}
	data, opened, err := config.ReadPrivate(q.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read approvals: %w", err)
	}
	if opened {
		warnings = append(warnings, q.path+" was readable by others; its permissions have been corrected")
	}
	if bad := q.decode(data); bad != nil {
		aside, err := config.KeepAside(q.path, q.now())
		if err != nil {
			return warnings, fmt.Errorf("read approvals: %w: %w", bad, err)
		}
		q.log.Warn("approvals file cannot be read and is kept aside", "path", aside, "error", bad)
		return append(warnings, fmt.Sprintf("%s could not be read; it is kept as %s and no app is remembered", q.path, aside)), nil
	}
	q.prune()
	return warnings, nil
}

// decode reads the whole file, or nothing if any part of it is invalid.
func (q *Queue) decode(data []byte) error {
	var f file
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&f); err != nil {
		return err
	}
	if f.Version != fileVersion {
		return fmt.Errorf("version %d, not %d", f.Version, fileVersion)
	}
	entries, grants := map[string]*entry{}, map[string]Grant{}
	for i, r := range f.Requests {
		asked := r.Asked.terms()
		e := &entry{
			id: r.ID, created: r.Created, expires: r.Expires, state: r.Answer, terms: r.Given.terms(), answer: make(chan struct{}),
			req: Request{Origin: r.Origin, Callback: r.Callback, State: r.State, Process: r.Process, Run: r.Run, Scope: asked.Scope, RateLimit: asked.RateLimit},
		}
		if err := e.req.check(); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		switch {
		case e.id == "" || e.state != pending && e.state != approved && e.state != denied:
			return fmt.Errorf("request %d is malformed", i)
		case e.state != pending:
			close(e.answer)
		}
		entries[e.id] = e
	}
	for i, r := range f.Grants {
		g := Grant{Origin: r.Origin, Asked: r.Asked.terms(), Terms: r.Given.terms(), CreatedAt: r.Created, ExpiresAt: r.Expires}
		if origin, err := checkOrigin(g.Origin); err != nil || origin != g.Origin || g.TTL <= 0 {
			return fmt.Errorf("grant %d is malformed", i)
		}
		if err := g.Scope.Validate(); err != nil {
			return fmt.Errorf("grant %d: %w", i, err)
		}
		grants[g.Origin] = g
	}
	q.entries, q.grants = entries, grants
	return nil
}
