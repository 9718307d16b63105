// Package oauth owns logins with providers: the authorization request with PKCE (RFC
// 7636), the landing page for the redirect, the exchange of the code for a key, and the
// record of which stored keys came from a login.
//
// The key only goes from the provider into storage: it never appears in a page, a
// response or a log. The caller stores keys.
package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

const (
	loginTime  = 10 * time.Minute // for the user to sign in
	maxLogins  = 8                // at the same time
	openrouter = "openrouter"
)

// Client configures logins with a provider: a member of oauth_clients in config.json.
type Client struct {
	AuthURL      string   `json:"auth_url"`
	TokenURL     string   `json:"token_url"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	Scopes       []string `json:"scopes"`
}

// builtin contains the providers whose logins need no configuration.
// https://openrouter.ai/docs/guides/overview/auth/oauth
var builtin = map[string]Client{
	openrouter: {AuthURL: "https://openrouter.ai/auth", TokenURL: "https://openrouter.ai/api/v1/auth/keys"},
}

// Stored is the public information about a stored key.
type Stored struct {
	Storage string
	Hint    string
}

// Config configures Logins. Clients, Getenv, Store, Find, Remove and Callback are
// required.
type Config struct {
	Path    string                 // logins.json
	Clients func() json.RawMessage // oauth_clients as it is in config.json
	Getenv  func(string) string
	// Store stores a provider's key. Find returns the stored key's information; ok is
	// false if there is none. Remove removes it.
	Store    func(ctx context.Context, provider string, key secret.String) (Stored, error)
	Find     func(ctx context.Context, provider string) (s Stored, ok bool, err error)
	Remove   func(ctx context.Context, provider string) error
	Callback func() string     // returns the URL of ServeHTTP for a browser
	HTTP     http.RoundTripper // http.DefaultTransport when nil
	Now      func() time.Time
	Logger   *slog.Logger
}

// Logins are the logins in progress and the record of those that returned a key. It is
// safe for concurrent use.
type Logins struct {
	cfg  Config
	http *http.Client

	mu     sync.Mutex
	byID   map[string]*login
	record map[string]entry // by provider
}

// login is a login in progress, or one whose outcome has not been collected yet.
type login struct {
	id, provider, state, verifier string
	client                        Client
	callback                      string
	expires                       time.Time
	done                          chan struct{} // closed when there is an outcome

	// Guarded by Logins.mu.
	exchanging bool
	outcome    Outcome
}

// Values of Outcome.Status.
const (
	Pending = "pending"
	Done    = "stored"
	Failed  = "failed"
)

// Outcome is the result of a login.
type Outcome struct {
	Status   string
	Provider string
	Stored
	Reason string // why it failed
}

// New returns Logins with the record of earlier ones.
func New(cfg Config) (*Logins, []string, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Logins{cfg: cfg, byID: map[string]*login{}, record: map[string]entry{}, http: &http.Client{
		Transport: cfg.HTTP, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	warnings, err := l.load()
	return l, warnings, err
}

// client returns the configuration for logins with a provider.
func (l *Logins) client(provider string) (Client, error) {
	clients := map[string]Client{}
	if raw := l.cfg.Clients(); len(raw) > 0 {
		if err := json.Unmarshal(raw, &clients); err != nil {
			return Client{}, &fault.Error{Kind: fault.Invalid, Message: "oauth_clients of config.json must have the form provider → {auth_url, token_url, client_id, client_secret, scopes}", Err: err}
		}
	}
	c, configured := clients[provider]
	known, ok := builtin[provider]
	if !configured && !ok {
		return Client{}, &fault.Error{Kind: fault.NotFound, Param: "provider",
			Message: fmt.Sprintf("there is no login for %.64q; add one to oauth_clients of config.json", provider), Next: "hostless keys add " + provider}
	}
	fill(&c.AuthURL, known.AuthURL)
	fill(&c.TokenURL, known.TokenURL)
	if provider == openrouter {
		fill(&c.ClientID, l.cfg.Getenv("OPENROUTER_CLIENT_ID"))
		fill(&c.ClientSecret, l.cfg.Getenv("OPENROUTER_CLIENT_SECRET"))
	} else if c.ClientID == "" {
		return Client{}, fault.New(fault.Invalid, fmt.Sprintf("oauth_clients of config.json has no client_id for %s", provider))
	}
	for name, text := range map[string]string{"auth_url": c.AuthURL, "token_url": c.TokenURL} {
		if !safeURL(text) {
			return Client{}, fault.New(fault.Invalid, fmt.Sprintf("%s of %s in oauth_clients must be an https URL, or http on this machine", name, provider))
		}
	}
	return c, nil
}

func fill(into *string, value string) {
	if *into == "" {
		*into = value
	}
}

// safeURL reports whether a code may be sent to a URL.
func safeURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// Begin starts a login and returns the page at which the user signs in. A login with the
// same provider that is in progress fails.
func (l *Logins) Begin(provider string) (id, page string, err error) {
	c, err := l.client(provider)
	if err != nil {
		return "", "", err
	}
	now := l.cfg.Now()
	n := &login{
		id: strings.ToLower(rand.Text()[:16]), provider: provider, state: rand.Text() + rand.Text(), verifier: rand.Text() + rand.Text(), client: c,
		callback: l.cfg.Callback(), expires: now.Add(loginTime), done: make(chan struct{}), outcome: Outcome{Status: Pending, Provider: provider},
	}
	if page, err = n.page(); err != nil {
		return "", "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(now)
	for _, old := range l.byID {
		if old.provider == provider && old.outcome.Status == Pending && !old.exchanging {
			l.finish(old, Outcome{Status: Failed, Provider: provider, Reason: "another login with " + provider + " took its place"})
		}
	}
	if len(l.byID) >= maxLogins {
		return "", "", &fault.Error{Kind: fault.RateLimited, Message: fmt.Sprintf("%d logins are in progress already", maxLogins), RetryAfter: time.Minute}
	}
	l.byID[n.id] = n
	return n.id, page, nil
}

// page returns the URL at which the user signs in. OpenRouter does not support state, so
// it is part of the callback's query.
func (n *login) page() (string, error) {
	u, err := url.Parse(n.client.AuthURL)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(n.verifier))
	q := u.Query()
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
	q.Set("code_challenge_method", "S256")
	if n.provider == openrouter {
		q.Set("callback_url", n.callback+"?state="+url.QueryEscape(n.state))
	}
	if n.client.ClientID != "" {
		q.Set("client_id", n.client.ClientID)
		q.Set("response_type", "code")
		q.Set("redirect_uri", n.callback)
		q.Set("state", n.state)
		if len(n.client.Scopes) > 0 {
			q.Set("scope", strings.Join(n.client.Scopes, " "))
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Wait returns a login's outcome when it has one, or its current state after limit.
func (l *Logins) Wait(ctx context.Context, id string, limit time.Duration) (Outcome, error) {
	l.mu.Lock()
	l.prune(l.cfg.Now())
	n := l.byID[id]
	l.mu.Unlock()
	if n == nil {
		return Outcome{}, &fault.Error{Kind: fault.NotFound, Message: "no such login is in progress: it may have expired", Next: "hostless auth login PROVIDER"}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-n.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return n.outcome, nil
}

// finish sets a login's outcome. l.mu must be held.
func (l *Logins) finish(n *login, o Outcome) {
	n.outcome = o
	n.expires = l.cfg.Now().Add(time.Minute) // for those who wait for the outcome
	close(n.done)
}

// prune removes finished and expired logins. l.mu must be held.
func (l *Logins) prune(now time.Time) {
	for id, n := range l.byID {
		if now.Before(n.expires) || n.exchanging {
			continue
		}
		if n.outcome.Status == Pending {
			l.finish(n, Outcome{Status: Failed, Provider: n.provider, Reason: "no login was completed within ten minutes"})
		}
		delete(l.byID, id)
	}
}

// InProgress reports whether a user may be signing in at the moment.
func (l *Logins) InProgress() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(l.cfg.Now())
	for _, n := range l.byID {
		if n.outcome.Status == Pending {
			return true
		}
	}
	return false
}

// Status is a provider for which a login returned a key, or may.
type Status struct {
	Provider string
	Stored
	At time.Time
	// Current is false if the key was removed or replaced since.
	Current bool
}

// List returns the logins that returned a key, by provider.
func (l *Logins) List(ctx context.Context) ([]Status, error) {
	l.mu.Lock()
	var out []Status
	for provider, e := range l.record {
		out = append(out, Status{Provider: provider, At: e.At, Stored: Stored{Hint: e.Hint}})
	}
	l.mu.Unlock()
	for i := range out {
		s, ok, err := l.cfg.Find(ctx, out[i].Provider)
		if err != nil {
			return nil, err
		}
		out[i].Current = ok && s.Hint == out[i].Hint
		out[i].Storage = s.Storage
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Provider, b.Provider) })
	return out, nil
}

// Logout removes the key that a login returned. A key that did not come from a login
// stays.
func (l *Logins) Logout(ctx context.Context, provider string) error {
	l.mu.Lock()
	e, ok := l.record[provider]
	l.mu.Unlock()
	if !ok {
		return &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no key of %.64q came from a login", provider), Next: "hostless auth status", Param: "provider"}
	}
	s, found, err := l.cfg.Find(ctx, provider)
	if err != nil {
		return err
	}
	if found && s.Hint == e.Hint {
		if err := l.cfg.Remove(ctx, provider); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	l.mu.Lock()
	delete(l.record, provider)
	l.mu.Unlock()
	if err := l.save(); err != nil {
		return err
	}
	if found && s.Hint != e.Hint {
		return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("the key of %s was changed after the login and was kept", provider), Next: "hostless keys remove " + provider}
	}
	return nil
}
