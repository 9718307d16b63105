package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// recheck is how often the file is checked for manual edits.
const recheck = time.Second

// file is keys.env with its parsed content. It is safe for concurrent use.
type file struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.RWMutex
	entries map[entryID]Entry
	counts  map[string]int // number of entries by provider
	stamp   stamp
	checked time.Time
	logged  string // the problems that were logged last

	writing sync.Mutex // held while the file is read, changed and written
}

// stamp identifies a state of the file.
type stamp struct {
	size  int64
	mtime time.Time
	inode fs.FileInfo
}

func (s stamp) same(info fs.FileInfo) bool {
	if info == nil || s.inode == nil {
		return info == nil && s.inode == nil
	}
	// The mode counts too, because reading a file that others can read corrects its
	// permissions.
	return s.size == info.Size() && s.mtime.Equal(info.ModTime()) && os.SameFile(s.inode, info) && s.inode.Mode() == info.Mode()
}

// errUnreadable means that no line in the file can be parsed as a key.
var errUnreadable = errors.New("it contains no keys")

// load reads the file at startup. A file without any valid line is kept aside. If some
// lines are not text, a copy is kept aside and these lines are removed.
func (f *file) load() (warnings []string, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	env, warnings, err := f.read()
	switch {
	case errors.Is(err, errUnreadable):
		var kept string
		if kept, err = f.keepAside(); err == nil {
			_, warnings, err = f.read()
			warnings = append(warnings, kept)
		}
	case err == nil && env.garbled():
		var kept string
		if kept, err = f.keepCopy(); err == nil {
			warnings = append(warnings, kept)
			err = f.write(env.text())
		}
	}
	return warnings, err
}

// keepAside moves an unreadable file away and returns a message about it. f.writing must
// be held.
func (f *file) keepAside() (message string, err error) {
	aside, err := config.KeepAside(f.path, f.now())
	if err != nil {
		return "", fmt.Errorf("read keys: it contains no keys: %w", err)
	}
	message = fmt.Sprintf("%s could not be read as keys; it is kept as %s", f.path, aside)
	f.log.Warn("key file has a problem", "problem", message)
	return message, nil
}

// keepCopy copies a partly readable file and returns a message about it.
func (f *file) keepCopy() (message string, err error) {
	aside, err := config.CopyAside(f.path, f.now())
	if err != nil {
		return "", err
	}
	message = fmt.Sprintf("%s has lines that are not text; the original is kept as %s, and the other lines are in use", f.path, aside)
	f.log.Warn("key file has a problem", "problem", message)
	return message, nil
}

// reload reads the file again and reports what cannot be used. On an error the known keys
// stay in use.
func (f *file) reload() (warnings []string, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	_, warnings, err = f.read()
	if errors.Is(err, errUnreadable) {
		bad := &fault.Error{Kind: fault.Invalid, Message: f.path + " could not be read as keys: the previous keys stay in use"}
		return append(warnings, bad.Message), bad
	}
	return warnings, err
}

// read reads the file. f.writing must be held.
func (f *file) read() (envFile, []string, error) {
	var data []byte
	var readable bool
	info, err := os.Stat(f.path)
	if err == nil {
		data, readable, err = config.ReadPrivate(f.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.mu.Lock()
		f.checked = f.now()
		f.mu.Unlock()
		return envFile{}, nil, fmt.Errorf("read keys: %w", err)
	}
	if err != nil {
		info = nil
	}
	seen := stamp{}
	if info != nil {
		seen = stamp{size: info.Size(), mtime: info.ModTime(), inode: info}
	}
	if info != nil && unreadable(data) {
		f.mu.Lock()
		f.checked, f.stamp = f.now(), seen // not checked again until it has changed
		f.mu.Unlock()
		return envFile{}, nil, errUnreadable
	}
	env, warnings := parseEnv(data)
	entries, more := env.entries()
	warnings = append(warnings, more...)
	for i, w := range warnings {
		warnings[i] = f.path + ": " + w
	}
	if readable {
		warnings = append(warnings, f.path+" was readable by others; its permissions have been corrected")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries, f.checked, f.stamp = entries, f.now(), seen
	f.counts = make(map[string]int, len(entries))
	for k := range entries {
		f.counts[k.provider]++
	}
	if all := strings.Join(warnings, "\n"); all != f.logged {
		f.logged = all
		for _, w := range warnings {
			f.log.Warn("key file has a problem", "problem", w)
		}
	}
	return env, warnings, nil
}

// refresh reads the file again if it has changed. It checks at most once per second.
func (f *file) refresh() {
	f.mu.RLock()
	fresh, known := f.now().Sub(f.checked) < recheck, f.stamp
	f.mu.RUnlock()
	if fresh {
		return
	}
	info, err := os.Stat(f.path)
	if err != nil {
		info = nil
	}
	if known.same(info) || (err != nil && !errors.Is(err, fs.ErrNotExist)) {
		f.mu.Lock()
		f.checked = f.now()
		f.mu.Unlock()
		return
	}
	if _, err := f.reload(); err != nil {
		f.log.Warn("keys cannot be read again", "error", err)
	}
}

// known returns the entries in use. The map must not be modified.
func (f *file) known() map[entryID]Entry {
	f.refresh()
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.entries
}

// count returns the number of a provider's entries.
func (f *file) count(provider string) int {
	f.refresh()
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.counts[provider]
}

// change reads the current file, changes it and writes it, so that manual edits are kept.
// An unreadable file is kept aside, and the known keys are written with the change.
func (f *file) change(edit func(envFile) envFile) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	env, _, err := f.read()
	lost := errors.Is(err, errUnreadable)
	if lost {
		env, err = f.rebuild(), nil
	}
	if err != nil {
		return err
	}
	switch {
	case lost:
		_, err = f.keepAside()
	case env.garbled():
		_, err = f.keepCopy()
	}
	if err != nil {
		return err
	}
	return f.write(edit(env.text()))
}

// write replaces the file and reads it again. f.writing must be held.
func (f *file) write(env envFile) error {
	if err := config.WritePrivate(f.path, env.bytes()); err != nil {
		return err
	}
	_, _, err := f.read()
	return err
}

// rebuild makes a file from the keys in use.
func (f *file) rebuild() (env envFile) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, k := range sortedIDs(f.entries) {
		env = env.put(f.entries[k])
	}
	return env
}
