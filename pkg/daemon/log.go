package daemon

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/hostless/hostless/pkg/redact"
)

// newLogger returns the daemon's logger, which writes lines of key=value. For the journal,
// which records the time itself, a line starts with its priority (sd-daemon(3)) instead.
//
// The redact.LogWriter is the last writer before w.
func newLogger(w io.Writer, level *slog.LevelVar, journal bool) (*slog.Logger, *redact.LogWriter) {
	opts := &slog.HandlerOptions{Level: level}
	if journal {
		w = journalWriter{w}
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	out := redact.NewLogWriter(w)
	return slog.New(slog.NewTextHandler(out, opts)), out
}

// onJournal reports whether w is the stream that systemd has connected to the journal. It
// compares JOURNAL_STREAM with w, since children with other streams inherit the variable.
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

// journalWriter puts the journal's priority before each line, by the line's level.
type journalWriter struct{ out io.Writer }

func (w journalWriter) Write(line []byte) (int, error) {
	if _, err := w.out.Write(priority(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// priority returns the journal's priority for a line's level.
func priority(line []byte) []byte {
	for level, number := range map[string]string{"DEBUG": "7", "INFO": "6", "WARN": "4", "ERROR": "3"} {
		if rest, ok := bytes.CutPrefix(line, []byte("level="+level+" ")); ok {
			return append([]byte("<"+number+">"), rest...)
		}
	}
	return line
}
