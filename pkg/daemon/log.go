package daemon

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hostless/hostless/pkg/secret"
)

// newLogger makes the daemon's log: lines of key=value. On the journal, which
// notes the time by itself, a line has its priority in front (sd-daemon(3)).
func newLogger(w io.Writer, verbose, journal bool) (*slog.Logger, *redactor) {
	r := &redactor{out: w, journal: journal}
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		opts.Level = slog.LevelDebug
	}
	if journal {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(r, opts)), r
}

// onJournal reports whether w is the stream that systemd connected to its
// journal: JOURNAL_STREAM is inherited by children whose own stream it is not.
func onJournal(w io.Writer, getenv func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok || getenv("JOURNAL_STREAM") == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", st.Dev, st.Ino) == getenv("JOURNAL_STREAM")
}

// redactor is the last thing before the log's stream: whatever a line was made
// of, no secret leaves it. It knows the bridge tokens' form, the forms of the
// common providers' keys, and each key that was handed to the gateway.
type redactor struct {
	out     io.Writer
	journal bool
	known   atomic.Pointer[[]secret.String]
	mu      sync.Mutex
}

var (
	bridgeToken = regexp.MustCompile(`(sk_local_[A-Za-z0-9_-]{8})[A-Za-z0-9_-]+`)
	providerKey = regexp.MustCompile(`\b(?:sk|gsk|xai|pplx|hf|csk|r8|fw|nvapi)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bAQ\.[A-Za-z0-9_-]{20,}`)
	credentials = regexp.MustCompile(`(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`)
	userInfo    = regexp.MustCompile(`(://[^/@\s:]*:)[^/@\s]+@`)
)

// learn has a key redacted from now on.
func (r *redactor) learn(key secret.String) {
	if len(key.Reveal()) < 6 { // a placeholder such as "x" would take the log apart
		return
	}
	for {
		old := r.known.Load()
		var list []secret.String
		if old != nil {
			list = *old
		}
		for _, k := range list {
			if k.Equal(key) {
				return
			}
		}
		next := append(list[:len(list):len(list)], key)
		if r.known.CompareAndSwap(old, &next) {
			return
		}
	}
}

// Write writes one line, redacted.
func (r *redactor) Write(line []byte) (int, error) {
	text := r.clean(line)
	if r.journal {
		text = priority(text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(text); err != nil {
		return 0, err
	}
	return len(line), nil
}

// redact gives a text that others have written as it may be shown.
func (r *redactor) redact(text string) string { return string(r.clean([]byte(text))) }

func (r *redactor) clean(text []byte) []byte {
	if known := r.known.Load(); known != nil {
		text = []byte(secret.Redact(string(text), *known...))
	}
	text = bridgeToken.ReplaceAll(text, []byte("${1}"+secret.Redacted))
	text = providerKey.ReplaceAllFunc(text, func(m []byte) []byte {
		if bytes.HasPrefix(m, []byte("sk_local_")) {
			return m
		}
		return []byte(secret.Redacted)
	})
	text = userInfo.ReplaceAll(text, []byte("${1}"+secret.Redacted+"@"))
	return credentials.ReplaceAll(text, []byte("${1} "+secret.Redacted))
}

// priority turns a line's level into the journal's.
func priority(line []byte) []byte {
	for level, number := range map[string]string{"DEBUG": "7", "INFO": "6", "WARN": "4", "ERROR": "3"} {
		if rest, ok := bytes.CutPrefix(line, []byte("level="+level+" ")); ok {
			return append([]byte("<"+number+">"), rest...)
		}
	}
	return line
}
