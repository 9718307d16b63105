package keypool

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/secret"
)

// fixed is a set of keys that do not change.
type fixed map[string][]pipeline.Credential

func (f fixed) Count(provider string) int { return len(f[provider]) }
func (f fixed) All(_ context.Context, provider string) ([]pipeline.Credential, error) {
	return f[provider], nil
}

// TestMemoryIsBounded: the number of conversations and keys from clients and files
// is unlimited, the memory for them is not.
func TestMemoryIsBounded(t *testing.T) {
	p, err := New(Config{Keys: fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxSessions {
		p.bind(named("openai", "session", fmt.Sprint(i)), "a")
	}
	if n := len(p.sessions.byID); n != maxSessions || p.sessions.latest.Len() != n {
		t.Errorf("%d conversations, %d in their order", n, p.sessions.latest.Len())
	}
	if _, ok := p.sessions.get(named("openai", "session", "0")); ok {
		t.Error("the oldest is still there")
	}
	cred := pipeline.Credential{Provider: "openai", Label: "a", Key: secret.New("k")}
	for i := range 4 * maxLimits {
		p.limit(&cred, fmt.Sprint("model ", i), 0)
	}
	if n := len(p.keys[keyName{"openai", "a"}].limits); n > maxLimits {
		t.Errorf("%d limits", n)
	}
}

// TestStates: a state applies to its key only, and ends when the key works again.
func TestStates(t *testing.T) {
	p, err := New(Config{Keys: fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	cred := pipeline.Credential{Provider: "openai", Key: secret.New("k1")}
	call := &pipeline.Call{Header: http.Header{}}
	attempt := func(status int) {
		p.Attempt(call, pipeline.Outcome{Status: status, Kind: pipeline.KindOfStatus(status), Candidate: pipeline.Candidate{Credential: cred, Model: "m"}})
	}
	attempt(401)
	if p.usable(&cred, "m") || p.usable(&cred, "another") {
		t.Error("a refused key is usable")
	}
	other := cred
	other.Key = secret.New("k2")
	if !p.usable(&other, "m") {
		t.Error("another key of that name is refused")
	}
	attempt(400) // says nothing about the key
	if p.usable(&cred, "m") {
		t.Error("400 took it back")
	}
	attempt(200)
	if !p.usable(&cred, "m") || p.troubled.Load() != 0 {
		t.Error("200 did not take it back")
	}
	attempt(429)
	if p.usable(&cred, "m") || !p.usable(&cred, "another") {
		t.Error("a rate limit is not the model's")
	}
	if h := p.Health("openai", ""); h.State != Limited || h.Status != 429 {
		t.Errorf("health %+v", h)
	}
	p.Forget("openai")
	if h := p.Health("openai", ""); h.State != OK || !p.usable(&cred, "m") {
		t.Errorf("health %+v", h)
	}
}

// TestRank: conversations are distributed evenly, and removing a key moves only its
// own.
func TestRank(t *testing.T) {
	labels := []string{"", "work", "spare", "x"}
	best := func(s session, labels []string) (top string) {
		for i, label := range labels {
			if i == 0 || s.rank(label) > s.rank(top) {
				top = label
			}
		}
		return top
	}
	count := map[string]int{}
	for i := range 4000 {
		s := named("openai", "first", fmt.Sprint("task ", i))
		top := best(s, labels)
		count[top]++
		if left := best(s, labels[:3]); top != "x" && left != top {
			t.Fatalf("conversation %d moved from %q to %q", i, top, left)
		}
	}
	for _, label := range labels {
		if n := count[label]; n < 850 || n > 1150 {
			t.Errorf("key %q has %d conversations of 4000", label, n)
		}
	}
}

// FuzzSession: reading a conversation's name does not fail on any body.
func FuzzSession(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}`, `{"previous_response_id":"resp_1","input":"x"}`,
		`{"metadata":{"user_id":"{\"session_id\":\"s\"}"},"messages":[]}`, `{"contents":[{"parts":[{"text":"x"}]}],"conversation":{"id":"c"}}`, `{"input":["a","b"]}`, `[`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		call := &pipeline.Call{Model: "m", Body: body}
		first := sessionOf(call, "openai")
		if again := sessionOf(call, "openai"); again != first {
			t.Errorf("two readings differ: %x, %x", first, again)
		}
		notHere(call, &pipeline.Outcome{Status: 404})
	})
}

// BenchmarkPlanner measures what the pool adds to the planner for a provider with
// one key, and with three.
func BenchmarkPlanner(b *testing.B) {
	openai := provider.Default().Get("openai")
	keys := fixed{"openai": {{Provider: "openai", Key: secret.New("k")}}}
	inner := pipeline.PlannerFunc(func(context.Context, *pipeline.Call) ([]pipeline.Candidate, error) {
		return []pipeline.Candidate{{Provider: openai, Credential: keys["openai"][0], Model: "gpt-5"}}, nil
	})
	p, err := New(Config{Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	call := &pipeline.Call{Model: "gpt-5", Dialect: dialect.OpenAI, Header: http.Header{}, Body: []byte(`{"model":"gpt-5","messages":[{"role":"user","content":"ping"}]}`)}
	run := func(name string, planner pipeline.Planner) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := planner.Candidates(b.Context(), call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("inner", inner)
	run("one key", p.Planner(inner))
	keys["openai"] = append(keys["openai"], pipeline.Credential{Provider: "openai", Label: "a", Key: secret.New("a")}, pipeline.Credential{Provider: "openai", Label: "b", Key: secret.New("b")})
	run("three keys", p.Planner(inner))
}
