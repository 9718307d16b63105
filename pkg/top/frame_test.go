package top

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

func full() State {
	first, cost := int64(800), prices.Nano(50_000_000)
	s := State{At: time.Now(), Status: control.Status{Version: "1.2.3", Warnings: []string{"something is degraded"}}}
	s.InFlight = []inflight.Request{{App: "shop", Model: "gpt-5", Provider: "openai", ElapsedMS: 3200, FirstMS: &first, Tokens: 143, PerSecond: 52.1}, {TokenName: "ci\x1b[31m", Model: "claude-sonnet-4-5", ElapsedMS: 90}}
	for range 30 {
		s.Apps = append(s.Apps, control.Route{AppName: "shop", State: "listening", URL: "http://shop.localhost:48282", Target: "localhost:4000"})
		s.Last = append(s.Last, &reqlog.Row{Model: "gpt-5", ResolvedModel: "gpt-5", Provider: "openai", Status: 429, ErrorKind: "provider_rate_limited", DurationMS: 12_345, CostUSD: &cost, Priced: true})
	}
	s.Keys = []control.KeyInfo{{Provider: "openai", Label: "work", State: "refused", StateStatus: 401}, {Provider: "openai", Label: "home"}}
	s.Aliases = []control.Alias{{Name: "fast", Targets: []string{"gpt-5-mini", "claude-haiku-4-5"}}}
	s.LastApps = []*reqlog.AppRow{{App: "shop", Method: "GET", Path: "/cart\x1b[2J", Status: 502, DurationMS: 7}}
	s.Today = spend.Report{Total: spend.Sum{Requests: 143, Errors: 2, CostUSD: 220_000_000}, Groups: []spend.Group{{Key: "gpt-5", Sum: spend.Sum{Requests: 12, CostUSD: cost}}}}
	return s
}

// TestFrame checks that a frame fits windows of every size, and shows everything that fits.
func TestFrame(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 60}, {40, 10}, {20, 5}, {1, 1}, {80, 2}} {
		lines := Frame(full(), size[0], size[1], false)
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > max(20, size[0]) || strings.ContainsAny(line, "\x1b\n\r") {
				t.Errorf("%v: %d characters, or one that steers the terminal: %q", size, n, line)
			}
		}
	}
	text := strings.Join(Frame(full(), 120, 40, false), "\n")
	for _, words := range []string{"hostless 1.2.3", "$0.22", "143 requests, 2 failed", "q quits", "something is degraded", "IN FLIGHT  2", "LAST REQUESTS TO MODELS", "KEYS", "refused with 401", "openai/gpt-5", "143 tokens  52.1/s", "waiting", "APPS  30", "more", "shop.localhost", "12 requests", "provider_rate_limited", "12s"} {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q:\n%s", words, text)
		}
	}
	if text := strings.Join(Frame(full(), 120, 40, true), "\n"); !strings.Contains(text, "\x1b[31m") || !strings.Contains(text, "\x1b[0m") {
		t.Error("it has no colours")
	}
	other := full()
	other.View = View{ToApps: true, Keys: true}
	text = strings.Join(Frame(other, 120, 50, false), "\n")
	for _, words := range []string{"a models", "home", "good", "ALIASES", "gpt-5-mini, claude-haiku-4-5", "LAST REQUESTS TO APPS", "GET", "/cart\ufffd[2J", "502"} {
		if !strings.Contains(text, words) {
			t.Errorf("after a and k it does not say %q:\n%s", words, text)
		}
	}
	empty := strings.Join(Frame(State{At: time.Now(), Err: errors.New("it has ended")}, 80, 24, false), "\n")
	if !strings.Contains(empty, "does not answer: it has ended") || !strings.Contains(empty, "none") {
		t.Errorf("%s", empty)
	}
}

// TestKeys checks the keys that change the view.
func TestKeys(t *testing.T) {
	var v View
	for _, key := range []byte("ak") {
		if !v.press(key) {
			t.Errorf("%q ends the view", key)
		}
	}
	if !v.ToApps || !v.Keys || !v.press('\t') || v.ToApps {
		t.Errorf("%+v", v)
	}
	for _, key := range []byte("q\x03\x04") {
		if v.press(key) {
			t.Errorf("%q does not end the view", key)
		}
	}
}

// TestReadKeys passes on letters, and not those of an escape sequence.
func TestReadKeys(t *testing.T) {
	keys, keyboard := io.Pipe()
	typed := make(chan byte)
	go readKeys(t.Context(), keys, typed)
	go func() {
		for _, some := range []string{"\x1b[A", "ak", "\x1b"} {
			keyboard.Write([]byte(some))
		}
		keyboard.Close()
	}()
	for _, want := range []byte{'a', 'k', ctrlD} {
		if got := <-typed; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLine(t *testing.T) {
	line := Line(full())
	for _, words := range []string{"in flight 2, 52.1 tokens/s", "apps 30 of 30", "today $0.22, 143 requests, 2 failed"} {
		if !strings.Contains(line, words) {
			t.Errorf("it does not say %q: %s", words, line)
		}
	}
}
