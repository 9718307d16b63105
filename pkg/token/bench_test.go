package token_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/token"
)

func BenchmarkVerifyAndAdmit(b *testing.B) {
	s, _, err := token.New(token.Config{})
	if err != nil {
		b.Fatal(err)
	}
	m, err := s.Mint(b.Context(), token.Request{Origin: "https://app.example", Scope: token.Scope{Models: []string{"gpt-4*"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g, err := s.Verify(m.Secret, "https://app.example")
			if err != nil || !g.Scope().Model("openai", "gpt-4o") || g.Admit() != nil {
				b.Fail()
			}
		}
	})
}

// BenchmarkMintPersisted measures how concurrent calls of Mint share file syncs.
func BenchmarkMintPersisted(b *testing.B) {
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s, _, err := token.New(token.Config{Path: filepath.Join(b.TempDir(), "tokens.json"), Persistence: config.PersistFile})
			if err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(workers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m, err := s.Mint(b.Context(), token.Request{})
					if err == nil {
						err = s.Revoke(b.Context(), m.Secret)
					}
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
