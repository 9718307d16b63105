package token_test

import (
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/token"
)

// TestMCP checks that tokens for the MCP server and all others are kept apart: in memory,
// on disk, in a successor, and when a lease presents one.
func TestMCP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	open := func() *token.Store {
		s, _, err := token.New(token.Config{Path: path, Persistence: config.PersistFile})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	plain, err := s.Mint(t.Context(), token.Request{Name: "plain"})
	if err != nil || s.HasMCP() {
		t.Fatalf("%v, HasMCP %v", err, s.HasMCP())
	}
	own, err := s.Mint(t.Context(), token.Request{Name: "agent", MCP: true})
	if err != nil || !own.MCP {
		t.Fatalf("%+v %v", own, err)
	}
	successor, _, err := token.New(token.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := successor.Import(s.Export()); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*token.Store{"in memory": s, "read again": open(), "handed over": successor} {
		if _, err := s.Verify(own.Secret, ""); !fault.Is(err, fault.Scope) {
			t.Errorf("%s: the AI plane answers the token for /mcp: %v", name, err)
		}
		if g, err := s.VerifyMCP(own.Secret); err != nil || g.Name() != "agent" {
			t.Errorf("%s: /mcp refuses its token: %v", name, err)
		}
		if _, err := s.VerifyMCP(plain.Secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: /mcp accepts another token: %v", name, err)
		}
		if !s.HasMCP() {
			t.Errorf("%s: HasMCP is false", name)
		}
		if _, err := s.Restore(t.Context(), own.Secret, token.Request{Name: "shop", Lease: true}); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: a lease takes up the token for /mcp: %v", name, err)
		}
	}
	for name, req := range map[string]token.Request{
		"with an origin": {MCP: true, Origin: "http://a.localhost:1"}, "of a lease": {MCP: true, Lease: true}, "of a host name": {MCP: true, Bound: "a.localhost"},
		"with models": {MCP: true, Scope: token.Scope{Models: []string{"gpt*"}}}, "with providers": {MCP: true, Scope: token.Scope{Providers: []string{"openai"}}},
	} {
		if _, err := s.Mint(t.Context(), req); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Revoke(t.Context(), own.Secret); err != nil || s.HasMCP() {
		t.Errorf("revoked: %v, HasMCP %v", err, s.HasMCP())
	}
}
