package redact_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/secret"
)

func TestLogWriter(t *testing.T) {
	var out bytes.Buffer
	w := redact.NewLogWriter(&out)
	log := slog.New(slog.NewTextHandler(w, nil))
	w.Learn(secret.New(`correct "horse" battery`))
	w.Learn(secret.New("x"))
	log.Info("x marks", "token", "sk_local_abcdefgh0123456789", "err", fmt.Errorf(`get: key correct "horse" battery is bad`))
	log.Info("d", "url", "https://h/?key=AIzaSyA0123456789abcdefghijklmnopqrstuv", "k", "sk-proj-0123456789abcdefghij", "h", "Authorization: Bearer abcdefghijklmnop", "g", "key AQ.Ab8RN6J0123456789abcdefghijkl")
	for _, leaked := range []string{"0123456789", "battery", "abcdefghijklmnop"} {
		if strings.Contains(out.String(), leaked) {
			t.Errorf("%q is in %s", leaked, out.String())
		}
	}
	if !strings.Contains(out.String(), "sk_local_abcdefgh"+secret.Redacted) || !strings.Contains(out.String(), "x marks") {
		t.Errorf("redacted too much or too little: %s", out.String())
	}
	for in, want := range map[string]string{
		"token=sk_local_abcdefgh": "token=sk_local_abcdefgh",
		`of an app: sk_local_abcdefgh0123456789, correct "horse" battery, postgres://u:pw@h`: "of an app: sk_local_abcdefgh[redacted], [redacted], postgres://u:[redacted]@h",
	} {
		if got := w.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestLogWriterIsConcurrent learns and writes at the same time: each line is one
// write, and no key is lost.
func TestLogWriterIsConcurrent(t *testing.T) {
	var out countWriter
	w := redact.NewLogWriter(&out)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				w.Learn(secret.New(fmt.Sprintf("key-%d-%d", i, k)))
				w.Learn(secret.New("the-same-key"))
				w.Write([]byte("line\n"))
			}
		})
	}
	wg.Wait()
	if out.writes != 160 {
		t.Errorf("%d writes, want 160", out.writes)
	}
	for i := range 8 {
		if got := w.String(fmt.Sprintf("a key-%d-19 the-same-key", i)); got != "a [redacted] [redacted]" {
			t.Error(got)
		}
	}
}

type countWriter struct{ writes int }

func (c *countWriter) Write(p []byte) (int, error) { c.writes++; return len(p), nil }
