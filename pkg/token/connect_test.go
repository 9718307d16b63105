package token_test

import (
	"context"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/token"
)

// TestMintForOrigin: by asking again, an app does not get more requests than its limit,
// and other apps are not affected.
func TestMintForOrigin(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, _, err := token.New(token.Config{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	mint := func(origin string) *token.Grant {
		t.Helper()
		now = now.Add(time.Second)
		m, err := s.MintForOrigin(context.Background(), token.Request{Origin: origin, Name: "connect", RateLimit: 10, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		g, err := s.Verify(m.Secret, origin)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	admitted := 0
	var grants []*token.Grant
	for range 5 {
		g := mint("https://app.example")
		grants = append(grants, g)
		for range 4 {
			if g.Admit() == nil {
				admitted++
			}
		}
	}
	if admitted != 10 {
		t.Errorf("%d requests were admitted by five tokens of a limit of 10", admitted)
	}
	for i, g := range grants {
		if err := g.Admit(); i > 2 && err == nil {
			t.Errorf("token %d admits another request", i)
		}
	}
	if err := mint("https://other.example").Admit(); err != nil {
		t.Errorf("another app: %v", err)
	}

	// At most sixteen tokens are live; the oldest is revoked.
	for range 12 {
		grants = append(grants, mint("https://app.example"))
	}
	if err := grants[0].Check(); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the oldest of seventeen: %v", err)
	}
	if err := grants[1].Check(); err != nil {
		t.Errorf("the second: %v", err)
	}

	own, err := s.Mint(context.Background(), token.Request{Origin: "https://app.example", Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.RevokeOrigin(context.Background(), "https://app.example", "connect"); n != 16 || err != nil {
		t.Errorf("RevokeOrigin = %d, %v", n, err)
	}
	select {
	case <-grants[len(grants)-1].Done():
	default:
		t.Error("streams of a revoked token are not canceled")
	}
	if _, err := s.Verify(own.Secret, "https://app.example"); err != nil {
		t.Errorf("a token of another name: %v", err)
	}
	if n, _ := s.RevokeOrigin(context.Background(), "https://app.example", "connect"); n != 0 {
		t.Errorf("revoked twice: %d", n)
	}
}
