// Package audit owns audit.jsonl, the record of every administrative action: one entry
// per line, append-only, rotated before it grows large.
//
// The callers decide which actions are recorded, and must keep secrets out of the
// entries.
package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Entry records one action on the control socket.
type Entry struct {
	Time    time.Time `json:"time"` // UTC
	UID     int       `json:"uid"`
	PID     int       `json:"pid"`
	Program string    `json:"program"` // path of the executable, "" if it is not known
	Run     string    `json:"run"`     // NAME of the run that the caller is a descendant of, or ""
	Action  string    `json:"action"`  // METHOD /path
	Target  string    `json:"target"`  // what was acted on, or ""
	Result  string    `json:"result"`  // "ok", or the type of the error
}

// The default maximum size of a file, and the number of older files that are kept.
const (
	maxFile = 4 << 20
	keep    = 3
)

// Config configures a Log.
type Config struct {
	Path    string           // audit.jsonl; required
	Now     func() time.Time // time.Now when nil
	MaxFile int64            // maximum size of one file in bytes; 4 MiB when 0
}

// Log is an audit log. It is safe for concurrent use. Its file is opened with the first
// entry.
type Log struct {
	path string
	now  func() time.Time
	max  int64

	mu        sync.Mutex
	file      *os.File
	size      int64
	followers map[chan Entry]bool
}

// New returns a log. It writes nothing yet.
func New(cfg Config) (*Log, error) {
	if cfg.Path == "" {
		return nil, errors.New("audit log needs a path")
	}
	l := &Log{path: cfg.Path, now: cfg.Now, max: cfg.MaxFile, followers: map[chan Entry]bool{}}
	if l.now == nil {
		l.now = time.Now
	}
	if l.max == 0 {
		l.max = maxFile
	}
	return l, nil
}

// Append writes an entry. An entry without a time gets the present one.
func (l *Log) Append(e Entry) error {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	e.Time = e.Time.UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(int64(len(line))); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for f := range l.followers {
		select {
		case f <- e:
		default: // the follower is too slow: drop it
			delete(l.followers, f)
			close(f)
		}
	}
	return nil
}

// ready makes sure that the open file has room for more bytes, rotating it if necessary.
// l.mu must be held.
func (l *Log) ready(more int64) error {
	if l.file != nil && l.size+more > l.max && l.size > 0 {
		l.file.Close()
		l.file = nil
		for n := keep - 1; n >= 0; n-- {
			if err := os.Rename(l.name(n), l.name(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if l.file != nil {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err == nil {
		err = endLine(l.path, f, info.Size())
	}
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// endLine completes a line that a crash has cut off.
func endLine(path string, f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	last := make([]byte, 1)
	if _, err := r.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.WriteString("\n")
	return err
}

// name returns the path of the nth file; 0 is the current one.
func (l *Log) name(n int) string {
	if n == 0 {
		return l.path
	}
	return l.path + "." + strconv.Itoa(n)
}

// Tail returns the last n entries, oldest first. It skips lines that cannot be parsed.
func (l *Log) Tail(n int) ([]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail(n)
}

func (l *Log) tail(n int) ([]Entry, error) {
	out := []Entry{}
	for i := 0; i <= keep && len(out) < n; i++ {
		data, err := os.ReadFile(l.name(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		var entries []Entry
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, len(data)+1)
		for lines.Scan() {
			var e Entry
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Action != "" {
				entries = append(entries, e)
			}
		}
		out = slices.Concat(entries[max(0, len(entries)-(n-len(out))):], out)
	}
	return out, nil
}

// Follow calls yield with the last n entries and then with each new one, until ctx ends.
// It returns yield's error, or an error if the reader is too slow.
func (l *Log) Follow(ctx context.Context, n int, yield func(Entry) error) error {
	next := make(chan Entry, 256)
	l.mu.Lock()
	last, err := l.tail(n)
	if err == nil {
		l.followers[next] = true
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		l.mu.Lock()
		delete(l.followers, next)
		l.mu.Unlock()
	}()
	for _, e := range last {
		if err := yield(e); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-next:
			if !open {
				return errors.New("audit: the reader is too slow")
			}
			if err := yield(e); err != nil {
				return err
			}
		}
	}
}

// Close closes the file. The log remains usable: the next entry opens the file again.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
