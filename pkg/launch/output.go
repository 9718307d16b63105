//go:build unix

package launch

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/config"
)

const (
	lastLines = 20       // kept for the page that tells how a run ended
	lastBytes = 8 << 10  // and no more than this of them
	mostLine  = 16 << 10 // a longer line is written in parts
	mostLog   = 8 << 20  // a larger log is put aside when a run begins
)

// output is where the command's output goes: to this process's own streams
// untouched, which is the rule; to a log file, for a detached run; or through a
// pipe that labels each line.
type output struct {
	log    string // the log file's path, "" for none
	writer *os.File
	lines  *labeller
	done   chan struct{}
}

// open prepares for one run; the log is named before.
func (o *output) open(c Config) error {
	if c.Label == "" {
		return nil
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	o.writer, o.done = writer, make(chan struct{})
	o.lines = &labeller{out: c.Stdout, label: c.Label}
	go func() {
		defer close(o.done)
		_, _ = io.Copy(o.lines, reader)
		o.lines.flush()
		reader.Close()
	}()
	return nil
}

// files are the command's streams.
func (o *output) files(c Config) [3]*os.File {
	if o.writer != nil {
		return [3]*os.File{c.Stdin, o.writer, o.writer}
	}
	return [3]*os.File{c.Stdin, c.Stdout, c.Stderr}
}

// close waits for what the command's tree, which has ended, still had written.
// It may be called twice.
func (o *output) close() {
	if o.writer != nil {
		o.writer.Close()
		<-o.done
		o.writer = nil
	}
}

// last gives the command's last lines, where they passed through here.
func (o *output) last() []string {
	switch {
	case o.lines != nil:
		return o.lines.last()
	case o.log != "":
		return tailFile(o.log)
	}
	return nil
}

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

// tailFile reads the last lines of a file.
func tailFile(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > lastBytes {
		_, _ = f.Seek(-lastBytes, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, lastBytes))
	return cutLines(text)
}

func cutLines(text []byte) []string {
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(text), "\uFFFD"), "\r\n"), "\n")
	if len(lines) > lastLines {
		lines = lines[len(lines)-lastLines:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines
}

// labeller puts a label before each line and writes line by line, so that the
// lines of several apps do not mix.
type labeller struct {
	out   io.Writer
	label string

	mu   sync.Mutex
	line []byte
	tail []byte
}

// Write implements io.Writer. It never fails: an app does not end because
// nobody looks on.
func (l *labeller) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if len(l.tail) > 2*lastBytes {
		l.tail = append([]byte{}, l.tail[len(l.tail)-lastBytes:]...)
	}
	l.line = append(l.line, p...)
	for {
		i := bytes.IndexByte(l.line, '\n')
		if i < 0 && len(l.line) < mostLine {
			return len(p), nil
		}
		if i < 0 {
			i = mostLine - 1
			l.put(l.line[:i+1])
		} else {
			l.put(l.line[:i])
		}
		l.line = l.line[i+1:]
	}
}

func (l *labeller) put(line []byte) {
	_, _ = fmt.Fprintf(l.out, "%s%s\n", l.label, bytes.TrimSuffix(line, []byte("\r")))
}

// flush writes a last line that has no end.
func (l *labeller) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.put(l.line)
		l.line = nil
	}
}

func (l *labeller) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cutLines(l.tail)
}
