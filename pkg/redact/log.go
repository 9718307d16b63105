package redact

import (
	"bytes"
	"io"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/hostless/hostless/pkg/secret"
)

// minLearned is the shortest key that the log is searched for, in bytes: a
// placeholder such as "x" would occur everywhere.
const minLearned = 6

// LogWriter is the last writer before a log's destination: no secret leaves it,
// however a line was assembled. It redacts each key that was given to Learn, and
// everything shaped like a bridge token, a key of a common provider, a credential
// in a header or a password in a URL. It is safe for concurrent use.
type LogWriter struct {
	out   io.Writer
	known atomic.Pointer[known]
	mu    sync.Mutex // serializes writes to out
}

type known struct {
	keys     []secret.String
	redactor Redactor
}

// NewLogWriter returns a LogWriter that writes to out.
func NewLogWriter(out io.Writer) *LogWriter { return &LogWriter{out: out} }

var (
	bridgeToken = regexp.MustCompile(`(sk_local_[A-Za-z0-9_-]{8})[A-Za-z0-9_-]+`)
	providerKey = regexp.MustCompile(`\b(?:sk|gsk|xai|pplx|hf|csk|r8|fw|nvapi)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bAQ\.[A-Za-z0-9_-]{20,}`)
	credentials = regexp.MustCompile(`(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`)
	userInfo    = regexp.MustCompile(`(://[^/@\s:]*:)[^/@\s]+@`)
)

// Learn makes the writer redact key from now on. It ignores keys of fewer than six
// bytes.
func (w *LogWriter) Learn(key secret.String) {
	if len(key.Reveal()) < minLearned {
		return
	}
	for {
		old := w.known.Load()
		var keys []secret.String
		if old != nil {
			keys = old.keys
		}
		for _, k := range keys {
			if k.Equal(key) {
				return
			}
		}
		keys = append(keys[:len(keys):len(keys)], key)
		if w.known.CompareAndSwap(old, &known{keys, New(minLearned, keys...)}) {
			return
		}
	}
}

// Write redacts line and writes it with one call of the underlying Write.
func (w *LogWriter) Write(line []byte) (int, error) {
	text := w.redact(line)
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.out.Write(text); err != nil {
		return 0, err
	}
	return len(line), nil
}

// String redacts text that another program wrote, such as an app's output, as the
// log would.
func (w *LogWriter) String(text string) string { return string(w.redact([]byte(text))) }

func (w *LogWriter) redact(text []byte) []byte {
	if k := w.known.Load(); k != nil {
		text = k.redactor.Bytes(text)
	}
	if !suspicious(text) {
		return text
	}
	text = bridgeToken.ReplaceAll(text, []byte("${1}"+secret.Redacted))
	text = providerKey.ReplaceAllFunc(text, func(m []byte) []byte {
		if len(m) >= len(tokenPrefix) && string(m[:len(tokenPrefix)]) == tokenPrefix {
			return m // the prefix that may be shown
		}
		return []byte(secret.Redacted)
	})
	text = userInfo.ReplaceAll(text, []byte("${1}"+secret.Redacted+"@"))
	return credentials.ReplaceAll(text, []byte("${1} "+secret.Redacted))
}

// suspicious reports whether one of the patterns may match. Keys and tokens have a
// hyphen or an underscore, or begin with AIza or AQ.; user information follows ://;
// credentials have a space. Many request paths have none of these, and need no search.
func suspicious(text []byte) bool {
	return bytes.ContainsAny(text, "-_ ") || bytes.Contains(text, []byte("AIza")) ||
		bytes.Contains(text, []byte("AQ.")) || bytes.Contains(text, []byte("://"))
}

const tokenPrefix = "sk_local_"
