//go:build unix

package launch

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/hostless/hostless/pkg/config"
)

const (
	mostLine = 16 << 10 // a longer line is labelled in parts
	mostLog  = 8 << 20  // a larger log is put aside when a run begins
)

// openLog opens a detached run's log for appending, a large one put aside.
func openLog(path string) (*os.File, error) {
	if err := config.EnsureDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > mostLog {
		_ = os.Rename(path, path+".1")
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// labeller puts a label before each line and writes line by line, so that the
// lines of several apps do not mix.
type labeller struct {
	out   func([]byte) error
	label string
	line  []byte // has no end yet
}

func (l *labeller) write(p []byte) error {
	l.line = append(l.line, p...)
	for {
		i := bytes.IndexByte(l.line, '\n')
		if i < 0 && len(l.line) < mostLine {
			return nil
		}
		if i < 0 {
			i = mostLine - 1
			if err := l.put(l.line[:i+1]); err != nil {
				return err
			}
		} else if err := l.put(l.line[:i]); err != nil {
			return err
		}
		l.line = l.line[i+1:]
	}
}

func (l *labeller) put(line []byte) error {
	return l.out(append(append([]byte(l.label), bytes.TrimSuffix(line, []byte("\r"))...), '\n'))
}

// flush writes a last line that has no end.
func (l *labeller) flush() {
	if len(l.line) > 0 {
		_ = l.put(l.line)
		l.line = nil
	}
}
