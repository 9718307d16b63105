package token_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

func newStore(t *testing.T, cfg token.Config) *token.Store {
	t.Helper()
	s, warnings, err := token.New(cfg)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("New = %v, %v", warnings, err)
	}
	return s
}

func mint(t *testing.T, s *token.Store, req token.Request) token.Minted {
	t.Helper()
	m, err := s.Mint(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: error %v, want kind %s", what, err, kind.Type())
	}
}

func TestMintAndVerify(t *testing.T) {
	s := newStore(t, token.Config{})
	m := mint(t, s, token.Request{Name: "demo"})
	text := m.Secret.Reveal()
	if !strings.HasPrefix(text, "sk_local_") || len(text) != len("sk_local_")+64 || m.Prefix != text[:17] || m.Origin != "*" || m.ExpiresIn != token.DefaultTTL {
		t.Errorf("minted %d characters, prefix %q, origin %q, %v", len(text), m.Prefix, m.Origin, m.ExpiresIn)
	}
	if g, err := s.Verify(m.Secret, "https://anywhere.example"); err != nil || g.Name() != "demo" {
		t.Errorf("Verify = %v, %v", g, err)
	}
	for _, bad := range []string{"", "sk_local_", text[:len(text)-1], text + "0", m.Prefix} {
		_, err := s.Verify(secret.New(bad), "")
		wantKind(t, "verify "+bad, err, fault.Unauthenticated)
		if err.Error() != "Invalid or unknown bridge token" {
			t.Errorf("message %q", err)
		}
	}
}

func TestOriginBinding(t *testing.T) {
	s := newStore(t, token.Config{})
	tests := []struct {
		bound, presented string
		ok               bool
	}{
		{"https://app.example", "https://app.example", true},
		{"HTTPS://App.Example:443/", "https://app.example", true},
		{"https://app.example", "http://app.example", false},
		{"https://app.example", "https://app.example:8443", false},
		{"https://app.example", "https://app.example.evil", false},
		{"https://app.example", "null", false},
		{"https://app.example", "", true},
		{"http://a.localhost:48282", "https://a.localhost:48282", true},
		{"http://a.localhost:48282", "http://b.localhost:48282", false},
		{"http://a.localhost:48282", "http://a.localhost:3000", false},
		{"http://a.localhost:48282", "http://x.a.localhost:48282", false},
		{"http://localhost:3000", "https://localhost:3000", false},
		{"*", "null", true},
	}
	for _, tt := range tests {
		m := mint(t, s, token.Request{Origin: tt.bound})
		_, err := s.Verify(m.Secret, tt.presented)
		if tt.ok != (err == nil) || (err != nil && !fault.Is(err, fault.Origin)) {
			t.Errorf("bound to %q, presented %q: %v, want ok %v", tt.bound, tt.presented, err, tt.ok)
		}
	}
	own := newStore(t, token.Config{Domains: func() appname.Domains { return appname.Domains{"test"} }})
	m := mint(t, own, token.Request{Origin: "http://a.test:48282"})
	for origin, ok := range map[string]bool{"http://a.localhost:48282": true, "https://a.test:48282": true, "http://b.test:48282": false, "http://a.example:48282": false, "http://a.test:1": false} {
		if _, err := own.Verify(m.Secret, origin); ok != (err == nil) {
			t.Errorf("below another domain, presented %q: %v, want ok %v", origin, err, ok)
		}
	}
	if _, err := s.Mint(t.Context(), token.Request{Origin: "not an origin"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("bad origin: %v", err)
	}
	if !s.OwnsOrigin("https://a.localhost:48282") || s.OwnsOrigin("https://other.example") || s.OwnsOrigin("null") {
		t.Error("OwnsOrigin is wrong")
	}
}

func TestExpiryAndRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, token.Config{})
		m := mint(t, s, token.Request{TTL: time.Hour})
		time.Sleep(30 * time.Minute)
		if left, err := s.Refresh(t.Context(), m.Secret); err != nil || left != time.Hour {
			t.Errorf("Refresh = %v, %v; want 1h", left, err)
		}
		time.Sleep(time.Hour - time.Second)
		if _, err := s.Verify(m.Secret, ""); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		time.Sleep(time.Second)
		_, err := s.Verify(m.Secret, "")
		wantKind(t, "expired", err, fault.Expired)
		if err.Error() != "Bridge token has expired" {
			t.Errorf("message %q", err)
		}
		_, err = s.Refresh(t.Context(), m.Secret)
		wantKind(t, "revive", err, fault.Expired)
		time.Sleep(24*time.Hour - time.Second)
		_, err = s.Verify(m.Secret, "")
		wantKind(t, "a day later, nearly", err, fault.Expired)
		time.Sleep(time.Second)
		_, err = s.Verify(m.Secret, "")
		wantKind(t, "a day later", err, fault.Unauthenticated)
		if s.Live() != 0 || len(s.List()) != 0 {
			t.Error("an expired token is still listed")
		}
	})
}

func TestRateLimitSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, token.Config{})
		m := mint(t, s, token.Request{RateLimit: 2})
		g, err := s.Verify(m.Secret, "")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := g.Admit(); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			time.Sleep(10 * time.Minute)
		}
		err = g.Admit()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.RateLimited || f.RetryAfter != 40*time.Minute {
			t.Fatalf("third request: %v, %+v; want 40m", err, f)
		}
		time.Sleep(40 * time.Minute) // rejected requests are not counted
		if err := g.Admit(); err != nil {
			t.Errorf("after Retry-After: %v", err)
		}
		wantKind(t, "the window slides, it does not reset", g.Admit(), fault.RateLimited)
	})
}

// TestLimitsAreShared: tokens with parents share the parents' limits, however many there
// are.
func TestLimitsAreShared(t *testing.T) {
	s := newStore(t, token.Config{})
	outer := mint(t, s, token.Request{RateLimit: 4})
	grant := func(m token.Minted) *token.Grant {
		g, err := s.Verify(m.Secret, "")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	parents := []secret.String{outer.Secret, outer.Secret, secret.New("sk_local_unknown")}
	a, b := grant(mint(t, s, token.Request{RateLimit: 1, Parents: parents})), grant(mint(t, s, token.Request{Parents: parents}))
	for i, g := range []*token.Grant{a, b, b} {
		if err := g.Admit(); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	wantKind(t, "its own limit", a.Admit(), fault.RateLimited) // and does not count against the parent
	if err := grant(outer).Admit(); err != nil {
		t.Errorf("the parent's last request: %v", err)
	}
	wantKind(t, "the parent's limit", b.Admit(), fault.RateLimited)
	wantKind(t, "the parent token", grant(outer).Admit(), fault.RateLimited)
}

func TestRevoke(t *testing.T) {
	s := newStore(t, token.Config{})
	m, other := mint(t, s, token.Request{}), mint(t, s, token.Request{})
	g, _ := s.Verify(m.Secret, "")
	ctx, cancel := g.Context(t.Context())
	defer cancel()
	for _, tt := range []struct {
		ref  string
		kind fault.Kind
	}{
		{"", fault.Invalid}, {"sk_local_", fault.Invalid}, {m.Prefix[:16], fault.Invalid}, {"sk-live-12345678", fault.Invalid},
		{"sk_local_zzzzzzzz", fault.NotFound}, {m.Secret.Reveal()[:72] + "x", fault.NotFound},
		{m.Prefix + "x", fault.NotFound}, {m.Secret.Reveal()[:40] + "x", fault.NotFound}, {m.Secret.Reveal() + "0", fault.NotFound},
	} {
		wantKind(t, "revoke "+tt.ref, s.Revoke(t.Context(), secret.New(tt.ref)), tt.kind)
	}
	if err := s.Revoke(t.Context(), secret.New(m.Secret.Reveal()[:20])); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	<-g.Done()
	wantKind(t, "grant", g.Check(), fault.Unauthenticated)
	_, err := s.Verify(m.Secret, "")
	wantKind(t, "revoked", err, fault.Unauthenticated)
	_, err = s.Refresh(t.Context(), m.Secret)
	wantKind(t, "refresh a revoked token", err, fault.NotFound)
	lease := mint(t, s, token.Request{Lease: true})
	if err := s.Revoke(t.Context(), lease.Secret); err != nil {
		t.Fatal(err)
	}
	_, err = s.Restore(t.Context(), lease.Secret, token.Request{Lease: true})
	wantKind(t, "restore a revoked token", err, fault.Unauthenticated)
	if _, err := s.Verify(other.Secret, ""); err != nil {
		t.Errorf("the other token: %v", err)
	}
}

// counting is a source of random numbers that makes all tokens have the same prefix.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	clear(p)
	c.n++
	p[len(p)-1] = c.n
	return len(p), nil
}

func TestAmbiguousPrefix(t *testing.T) {
	s := newStore(t, token.Config{Rand: &counting{}})
	m := mint(t, s, token.Request{})
	mint(t, s, token.Request{})
	wantKind(t, "ambiguous", s.Revoke(t.Context(), secret.New(m.Prefix)), fault.Conflict)
	if err := s.Revoke(t.Context(), m.Secret); err != nil {
		t.Errorf("whole: %v", err)
	}
	if err := s.Revoke(t.Context(), secret.New(m.Prefix)); err != nil {
		t.Errorf("now unique: %v", err)
	}
}

// TestEveryLongerPrefix: a token can be referenced by any of its beginnings that is long
// enough.
func TestEveryLongerPrefix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	cfg := token.Config{Path: path, Persistence: config.PersistFile}
	s := newStore(t, cfg)
	m := mint(t, s, token.Request{})
	text := m.Secret.Reveal()
	for _, when := range []string{"minted", "read from disk"} {
		for n := len(m.Prefix); n <= len(text); n++ {
			if _, err := s.Refresh(t.Context(), secret.New(text[:n])); err != nil {
				t.Errorf("%s, %d characters: %v", when, n, err)
			}
		}
		_, err := s.Refresh(t.Context(), secret.New(text[:len(text)-1]+"x"))
		wantKind(t, when+", another whole token", err, fault.NotFound)
		s = newStore(t, cfg)
	}
}

func TestPersistence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	cfg := token.Config{Path: path, Persistence: config.PersistFile}
	s := newStore(t, cfg)
	kept := mint(t, s, token.Request{Origin: "https://a.example", Name: "a", Scope: token.Scope{Models: []string{"gpt-4*"}}, RateLimit: 2, Bound: "a.localhost"})
	revoked := mint(t, s, token.Request{})
	lease := mint(t, s, token.Request{Lease: true, Bound: "b.localhost", Name: "shop"})
	for bearer, want := range map[secret.String]string{lease.Secret: "shop", mint(t, s, token.Request{Name: "shop"}).Secret: ""} {
		if g, err := s.Verify(bearer, ""); err != nil || g.Run() != want {
			t.Errorf("Run of %v = %q, %v; want %q", g.Prefix(), g.Run(), err, want)
		}
	}
	if g, err := s.Verify(kept.Secret, ""); err != nil || g.Admit() != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), revoked.Secret); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	for _, m := range []token.Minted{kept, revoked, lease} {
		if strings.Contains(string(data), m.Secret.Reveal()[17:]) {
			t.Fatal("the file holds a token")
		}
	}

	s = newStore(t, cfg)
	g, err := s.Verify(kept.Secret, "https://a.example")
	if err != nil || g.Scope().Model("openai", "o3") || !g.Scope().Model("openai", "gpt-4o") {
		t.Fatalf("after a restart: %v", err)
	}
	if err := g.Admit(); err != nil {
		t.Errorf("second request: %v", err)
	}
	wantKind(t, "the limit is kept across a restart", g.Admit(), fault.RateLimited)
	for _, m := range []token.Minted{revoked, lease} {
		_, err := s.Verify(m.Secret, "")
		wantKind(t, "after a restart", err, fault.Unauthenticated)
	}
	if _, err := s.Restore(t.Context(), lease.Secret, token.Request{Lease: true}); err != nil {
		t.Errorf("adopt: %v", err)
	}
	if _, err := s.Verify(lease.Secret, ""); err != nil {
		t.Errorf("adopted: %v", err)
	}
	s.Release(lease.Secret)
	_, err = s.Verify(lease.Secret, "")
	wantKind(t, "released", err, fault.Unauthenticated)
	if _, err := s.Restore(t.Context(), lease.Secret, token.Request{Lease: true}); err != nil {
		t.Errorf("restore a released token: %v", err)
	}

	if err := s.RevokeBound(t.Context(), "a.localhost", secret.String{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Verify(kept.Secret, "")
	wantKind(t, "bound", err, fault.Unauthenticated)
	if err := s.SetPersistence(config.PersistOff); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was not removed with persistence off: %v", err)
	}
	wantKind(t, "mode", s.SetPersistence("cloud"), fault.Invalid)
}

// TestTokensOfRoutesThatWent: a route is removed while the daemon is not running.
func TestTokensOfRoutesThatWent(t *testing.T) {
	cfg := token.Config{Path: filepath.Join(t.TempDir(), "tokens.json"), Persistence: "file"}
	s := newStore(t, cfg)
	revoked := mint(t, s, token.Request{Origin: "*", Bound: "gone.localhost"})
	there := mint(t, s, token.Request{Origin: "*", Bound: "there.localhost"})
	free := mint(t, s, token.Request{Origin: "*"})
	again := newStore(t, cfg)
	if err := again.RevokeUnbound(t.Context(), func(host string) bool { return host == "there.localhost" }); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*token.Store{again, newStore(t, cfg)} {
		_, err := s.Verify(revoked.Secret, "")
		wantKind(t, "the removed route's token", err, fault.Unauthenticated)
		for _, m := range []token.Minted{there, free} {
			if _, err := s.Verify(m.Secret, ""); err != nil {
				t.Errorf("%s: %v", m.Prefix, err)
			}
		}
	}
}

func TestCorruptFileIsKeptAside(t *testing.T) {
	for _, text := range []string{"{half", `{"version":1,"tokens":[{"sha256":"00"}]}`, `{"version":9}`, ""} {
		dir := t.TempDir()
		path := filepath.Join(dir, "tokens.json")
		os.WriteFile(path, []byte(text), 0o600)
		s, warnings, err := token.New(token.Config{Path: path, Persistence: config.PersistFile})
		if err != nil || len(warnings) != 1 || s.Live() != 0 {
			t.Fatalf("%q: warnings %v, %v", text, warnings, err)
		}
		aside, _ := filepath.Glob(path + ".corrupt-*")
		if len(aside) != 1 {
			t.Fatalf("%q: kept %v", text, aside)
		}
		if got, _ := os.ReadFile(aside[0]); string(got) != text {
			t.Errorf("kept %q, want %q", got, text)
		}
	}
}

func TestConcurrentMintsAreDurable(t *testing.T) {
	cfg := token.Config{Path: filepath.Join(t.TempDir(), "tokens.json"), Persistence: config.PersistFile}
	s := newStore(t, cfg)
	var wg sync.WaitGroup
	minted := make([]token.Minted, 64)
	for i := range minted {
		wg.Go(func() { minted[i], _ = s.Mint(t.Context(), token.Request{}) })
	}
	wg.Wait()
	s = newStore(t, cfg)
	for i, m := range minted {
		if _, err := s.Verify(m.Secret, ""); err != nil {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

func TestFailedWriteIsNoToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := newStore(t, token.Config{Path: filepath.Join(dir, "tokens.json"), Persistence: config.PersistFile})
	if _, err := s.Mint(t.Context(), token.Request{}); err == nil || s.Live() != 0 {
		t.Errorf("Mint into a missing directory: %v, %d live", err, s.Live())
	}
}
