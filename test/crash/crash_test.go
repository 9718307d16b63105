// Package crash kills the real daemon in the middle of its writes.
package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// rounds returns how often the daemon is killed: HOSTLESS_CRASH_ROUNDS, or else 200, or a
// few in short mode.
func rounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("HOSTLESS_CRASH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	if testing.Short() {
		return 5
	}
	return 200
}

// span is the range of valid values after a crash: the last acknowledged one, or any that
// was requested after it.
type span struct{ acked, asked int }

// ledger records what was acknowledged in all rounds.
type ledger struct {
	mu      sync.Mutex
	keys    map[string]span // provider → number of its key
	routes  map[string]span // name → port
	tokens  map[string]bool // prefix → false once its revocation was requested
	dead    map[string]bool // prefixes of tokens whose revocation was acknowledged
	origins map[string]bool
	there   map[string]bool // for what is created and removed: whether it must exist; missing while that is unknown
	acks    map[string]int  // number of acknowledged changes by kind
	wrong   []error         // errors of a daemon that is alive
	noApps  bool            // the daemon was built without the apps plane
}

func (l *ledger) ask(m map[string]span, name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := m[name]
	s.asked++
	m[name] = s
	return s.asked
}

func (l *ledger) ack(m map[string]span, name string, n int) {
	l.note(func() {
		s := m[name]
		s.acked = max(s.acked, n)
		m[name] = s
	})
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// comeAndGo creates something and removes it again.
func (l *ledger) comeAndGo(what string, come, goAway func() error) error {
	for _, step := range []struct {
		there bool
		do    func() error
	}{{true, come}, {false, goAway}} {
		l.note(func() { delete(l.there, what) })
		if err := step.do(); err != nil {
			return err
		}
		l.note(func() { l.there[what] = step.there })
	}
	return nil
}

// keyText returns a key whose number can be recognized from its hint in listings.
func keyText(n int) control.Secret {
	return control.NewSecret(fmt.Sprintf("crash-test-key-0000-%04d", n))
}

const basePort = 20000

// TestKillInTheMiddleOfWrites kills the daemon repeatedly while clients write keys,
// routes, tokens and origins. After each kill every state file must be valid and contain
// everything that was acknowledged.
func TestKillInTheMiddleOfWrites(t *testing.T) {
	home := harness.Home(t)
	l := &ledger{keys: map[string]span{}, routes: map[string]span{}, tokens: map[string]bool{}, dead: map[string]bool{},
		origins: map[string]bool{}, there: map[string]bool{}, acks: map[string]int{}}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	n := rounds(t)
	for round := range n {
		d := harness.StartIn(t, home, "--token-persistence", "file")
		client := control.NewClient(filepath.Join(home, "control.sock"))
		if round == 0 {
			l.probe(t, client)
		}
		l.check(t, client)
		stop := l.write(client)
		time.Sleep(time.Duration(rnd.IntN(40_000)) * time.Microsecond) // varies the moment of the kill
		d.Kill()
		stop()
		client.CloseIdle()
		for _, err := range l.wrong {
			t.Error(err)
		}
		parse(t, home)
		if t.Failed() {
			t.Fatalf("in round %d of %d", round+1, n)
		}
	}
	for _, what := range []string{"key", "route", "token", "origin", "key that goes", "route that goes"} {
		if l.acks[what] == 0 && !(l.noApps && strings.HasPrefix(what, "route")) {
			t.Errorf("no %s was acknowledged: the test proves nothing about it", what)
		}
	}
	harness.StartIn(t, home, "--token-persistence", "file")
	l.check(t, control.NewClient(filepath.Join(home, "control.sock")))
	t.Logf("%d kills; changes acknowledged and not lost: %v", n, l.acks)
}

// probe determines whether there is an apps plane to test; in CI there must be one.
func (l *ledger) probe(t *testing.T, c *control.Client) {
	t.Helper()
	_, err := c.Register(t.Context(), control.RouteRequest{Name: "probe", Port: basePort})
	if l.noApps = fault.Is(err, fault.Internal) && !harness.CI(); l.noApps {
		t.Logf("routes are not tested: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// write starts clients that change the state until stop, which waits for them.
func (l *ledger) write(c *control.Client) (stop func()) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	var wg sync.WaitGroup
	loop := func(what string, change func(i int) error) {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				switch err := change(i); {
				case fault.Is(err, fault.Unreachable):
					return // the daemon was killed
				case err != nil:
					l.note(func() { l.wrong = append(l.wrong, fmt.Errorf("%s: %w", what, err)) })
					return
				}
				l.note(func() { l.acks[what]++ })
			}
		})
	}
	loop("key", func(i int) error {
		name := fmt.Sprintf("provider-%d", i%5)
		n := l.ask(l.keys, name)
		_, err := c.PutKey(ctx, name, control.KeyRequest{Key: keyText(n), BaseURL: "http://127.0.0.1:9/v1"})
		if err == nil {
			l.ack(l.keys, name, n)
		}
		return err
	})
	if !l.noApps {
		l.writeRoutes(ctx, c, loop)
	}
	loop("token", func(i int) error {
		tok, err := c.CreateToken(ctx, control.TokenRequest{Name: "crash"})
		if err != nil {
			return err
		}
		prefix := tok.Token.Reveal()[:17]
		l.note(func() { l.tokens[prefix] = true })
		if i%2 == 0 {
			return nil
		}
		l.mu.Lock()
		l.tokens[prefix] = false
		l.mu.Unlock()
		if _, err := c.RevokeToken(ctx, tok.Token); err != nil {
			return err
		}
		l.note(func() { l.dead[prefix] = true; delete(l.tokens, prefix) })
		return nil
	})
	loop("origin", func(i int) error {
		l.mu.Lock()
		origin := fmt.Sprintf("https://o%d.example", len(l.origins))
		l.mu.Unlock()
		_, err := c.AddOrigin(ctx, origin)
		if err == nil {
			l.note(func() { l.origins[origin] = true })
		}
		return err
	})
	loop("key that goes", func(int) error {
		return l.comeAndGo("key", func() error {
			_, err := c.PutKey(ctx, "fleeting", control.KeyRequest{Key: keyText(1), BaseURL: "http://127.0.0.1:9/v1"})
			return err
		}, func() error {
			_, err := c.DeleteKey(ctx, "fleeting")
			return err
		})
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// writeRoutes is the part of write for the route table.
func (l *ledger) writeRoutes(ctx context.Context, c *control.Client, loop func(string, func(int) error)) {
	loop("route", func(i int) error {
		name := fmt.Sprintf("app-%d", i%5)
		n := l.ask(l.routes, name)
		_, err := c.Register(ctx, control.RouteRequest{Name: name, Port: basePort + n, Force: true})
		if err == nil {
			l.ack(l.routes, name, n)
		}
		return err
	})
	loop("route that goes", func(int) error {
		return l.comeAndGo("route", func() error {
			_, err := c.Register(ctx, control.RouteRequest{Name: "fleeting", Port: basePort})
			return err
		}, func() error {
			_, err := c.Deregister(ctx, control.RouteName{Name: "fleeting"})
			return err
		})
	})
}

// check queries a new daemon for everything that was acknowledged.
func (l *ledger) check(t *testing.T, c *control.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	wantBetween := func(what string, s span, got int) {
		t.Helper()
		if s.acked > 0 && (got < s.acked || got > s.asked) {
			t.Errorf("%s is %d, %d was acknowledged and %d requested", what, got, s.acked, s.asked)
		}
	}
	comesAndGoes := func(what string, have map[string]int) {
		t.Helper()
		_, got := have["fleeting"]
		if want, known := l.there[what]; known && got != want {
			t.Errorf("the %s that comes and goes: there is %v, acknowledged was %v", what, got, want)
		}
	}
	keyList, err := c.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, k := range keyList.Keys {
		have[k.Provider], _ = strconv.Atoi(k.Hint)
	}
	comesAndGoes("key", have)
	for name, s := range l.keys {
		wantBetween("key of "+name, s, have[name])
	}
	routeList, err := c.Routes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	clear(have)
	for _, r := range routeList.Routes {
		have[r.AppName] = r.TargetPort - basePort
	}
	comesAndGoes("route", have)
	for name, s := range l.routes {
		wantBetween("port of "+name, s, have[name])
	}
	tokenList, err := c.Tokens(ctx)
	if err != nil {
		t.Fatal(err)
	}
	live := map[string]bool{}
	for _, tok := range tokenList.Tokens {
		live[tok.Prefix] = true
		if l.dead[tok.Prefix] {
			t.Errorf("revoked token %s is valid again", tok.Prefix)
		}
	}
	for prefix, must := range l.tokens {
		if must && !live[prefix] {
			t.Errorf("token %s is lost", prefix)
		}
	}
	originList, err := c.Origins(ctx)
	if err != nil {
		t.Fatal(err)
	}
	lost := maps.Clone(l.origins)
	for _, o := range originList.Origins {
		delete(lost, o)
	}
	if len(lost) > 0 {
		t.Errorf("origins are lost: %v", lost)
	}
}

// parse parses the state files as the kill left them.
func parse(t *testing.T, home string) {
	t.Helper()
	for _, name := range []string{"config.json", "tokens.json", "routes.json"} {
		data, err := os.ReadFile(filepath.Join(home, name))
		if err == nil && !json.Valid(data) {
			t.Errorf("%s does not parse: %.200q", name, data)
		}
	}
	if _, warnings, err := keys.New(keys.Config{Path: filepath.Join(home, "keys.env")}); err != nil || len(warnings) > 0 {
		t.Errorf("keys.env: %v %v", warnings, err)
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), ".corrupt-") {
			t.Errorf("the daemon found %s corrupt", e.Name())
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !strings.HasSuffix(e.Name(), ".crt") {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}
