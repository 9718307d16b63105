package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// recheck is how often a hand-edited file is looked for.
const recheck = time.Second

// Config is what a Store needs.
type Config struct {
	Path   string           // keys.env; required
	Vault  Vault            // sealed keys; none when nil
	Now    func() time.Time // time.Now when nil
	Logger *slog.Logger     // discards when nil
}

// Store keeps provider keys. It is safe for concurrent use. What it reads from
// keys.env follows edits by hand: within a second on use, at once on Reload.
type Store struct {
	path  string
	vault Vault
	now   func() time.Time
	log   *slog.Logger

	mu      sync.RWMutex
	entries map[string]Entry
	stamp   stamp
	checked time.Time
	told    string // the problems last logged

	writing sync.Mutex // held over read, change and write of the file
}

// stamp tells one state of the file from another.
type stamp struct {
	size  int64
	mtime time.Time
	inode fs.FileInfo
}

func (s stamp) same(info fs.FileInfo) bool {
	if info == nil || s.inode == nil {
		return info == nil && s.inode == nil
	}
	// The mode too: a file that is opened to others is closed by reading it.
	return s.size == info.Size() && s.mtime.Equal(info.ModTime()) && os.SameFile(s.inode, info) && s.inode.Mode() == info.Mode()
}

// New makes a store and reads the file. Lines that cannot be used are told by
// warnings and stay in the file; a file of nothing else is kept aside.
func New(cfg Config) (s *Store, warnings []string, err error) {
	if cfg.Path == "" {
		return nil, nil, errors.New("key store needs a path")
	}
	s = &Store{path: cfg.Path, vault: cfg.Vault, now: cfg.Now, log: cfg.Logger}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	_, warnings, err = s.read()
	if errors.Is(err, errRuined) {
		var kept string
		if kept, err = s.keepAside(); err == nil {
			_, warnings, err = s.read()
			warnings = append(warnings, kept)
		}
	}
	return s, warnings, err
}

// errRuined means that the file is none of keys at all.
var errRuined = errors.New("it holds no keys")

// keepAside moves a ruined file away and says so; s.writing is held.
func (s *Store) keepAside() (said string, err error) {
	aside, err := config.KeepAside(s.path, s.now())
	if err != nil {
		return "", fmt.Errorf("read keys: it holds no keys: %w", err)
	}
	said = fmt.Sprintf("%s could not be read as keys; it is kept as %s", s.path, aside)
	s.log.Warn("key file has a problem", "problem", said)
	return said, nil
}

// Reload reads the file again and tells what in it cannot be used. On an error
// the keys known before stay in use; a file that holds no keys at all is such an
// error, fault.Invalid, and is left for whoever edits it.
func (s *Store) Reload() (warnings []string, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, warnings, err = s.read()
	if errors.Is(err, errRuined) {
		f := &fault.Error{Kind: fault.Invalid, Message: s.path + " could not be read as keys: those known before stay in use"}
		return append(warnings, f.Message), f
	}
	return warnings, err
}

// read reads the file into the store; s.writing is held.
func (s *Store) read() (envFile, []string, error) {
	var data []byte
	var opened bool
	info, err := os.Stat(s.path)
	if err == nil {
		data, opened, err = config.ReadPrivate(s.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.mu.Lock()
		s.checked = s.now()
		s.mu.Unlock()
		return envFile{}, nil, fmt.Errorf("read keys: %w", err)
	}
	if err != nil {
		info = nil
	}
	seen := stamp{}
	if info != nil {
		seen = stamp{size: info.Size(), mtime: info.ModTime(), inode: info}
	}
	if info != nil && ruined(data) {
		s.mu.Lock()
		s.checked, s.stamp = s.now(), seen // looked at again once it has changed
		s.mu.Unlock()
		return envFile{}, nil, errRuined
	}
	file, warnings := parseEnv(data)
	entries, more := file.entries()
	warnings = append(warnings, more...)
	for i, w := range warnings {
		warnings[i] = s.path + ": " + w
	}
	if opened {
		warnings = append(warnings, s.path+" was readable by others and has been closed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries, s.checked, s.stamp = entries, s.now(), seen
	if told := strings.Join(warnings, "\n"); told != s.told {
		s.told = told
		for _, w := range warnings {
			s.log.Warn("key file has a problem", "problem", w)
		}
	}
	return file, warnings, nil
}

// refresh reads the file again where somebody has changed it, looking at most
// once a second.
func (s *Store) refresh() {
	s.mu.RLock()
	fresh, known := s.now().Sub(s.checked) < recheck, s.stamp
	s.mu.RUnlock()
	if fresh {
		return
	}
	info, err := os.Stat(s.path)
	if err != nil {
		info = nil
	}
	if known.same(info) || (err != nil && !errors.Is(err, fs.ErrNotExist)) {
		s.mu.Lock()
		s.checked = s.now()
		s.mu.Unlock()
		return
	}
	if _, err := s.Reload(); err != nil {
		s.log.Warn("keys cannot be read again", "error", err)
	}
}

// Get finds a provider's entry, in the vault before the file. None is
// fault.Unconfigured with the command that adds one; a vault that holds the key
// and is locked is fault.Locked.
func (s *Store) Get(ctx context.Context, provider string) (Entry, error) {
	if s.vault != nil {
		e, found, err := s.vault.Get(ctx, provider)
		if err != nil || found {
			return e, err
		}
	}
	s.refresh()
	s.mu.RLock()
	e, ok := s.entries[provider]
	s.mu.RUnlock()
	if !ok {
		return Entry{}, &fault.Error{
			Kind:    fault.Unconfigured,
			Message: fmt.Sprintf("No API key for provider %q is stored: add one with hostless keys add %s", provider, provider),
			Next:    "hostless keys add " + provider,
			Code:    "missing_provider_key",
		}
	}
	return e, nil
}

// List tells all entries by name. Those of a locked vault have no key; locked
// says that there are such.
func (s *Store) List(ctx context.Context) (entries []Entry, locked bool, err error) {
	s.refresh()
	s.mu.RLock()
	all := maps.Clone(s.entries)
	s.mu.RUnlock()
	if s.vault != nil {
		sealed, isLocked, err := s.vault.List(ctx)
		if err != nil {
			return nil, false, err
		}
		locked = isLocked
		for _, e := range sealed {
			all[e.Provider] = e
		}
	}
	entries = []Entry{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entries = append(entries, all[name])
	}
	return entries, locked, nil
}

// Put stores an entry in the file, in place of an earlier one of its provider,
// and returns it as it was stored. It is on disk when Put returns. White space
// around a key is trimmed; what no key or base URL can hold is fault.Invalid.
func (s *Store) Put(ctx context.Context, e Entry) (Entry, error) {
	e, err := e.clean()
	if err != nil {
		return Entry{}, err
	}
	e.Storage = StorageFile
	return e, s.change(func(f envFile) (envFile, error) { return f.put(e), nil })
}

// Delete removes a provider's entry from the file; none is fault.NotFound.
func (s *Store) Delete(ctx context.Context, provider string) error {
	return s.change(func(f envFile) (envFile, error) {
		for _, l := range f.lines {
			if (l.kind != "" && l.provider == provider) || f.broken(l, provider) {
				return f.remove(provider), nil
			}
		}
		return f, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no key of provider %.80q is stored", provider), Next: "hostless keys list"}
	})
}

// change reads the file as it is now, changes it and writes it. Edits made by
// hand since the last look are so never lost. One that is ruined is kept aside,
// and the keys known before are written with the change.
func (s *Store) change(edit func(envFile) (envFile, error)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	file, _, err := s.read()
	ruined := errors.Is(err, errRuined)
	if ruined {
		file, err = s.known(), nil
	}
	if err != nil {
		return err
	}
	if file, err = edit(file); err != nil {
		return err
	}
	if ruined {
		if _, err := s.keepAside(); err != nil {
			return err
		}
	}
	if err := config.WritePrivate(s.path, file.bytes()); err != nil {
		return err
	}
	_, _, err = s.read()
	return err
}

// known writes down the keys in use as a file.
func (s *Store) known() (f envFile) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		f = f.put(s.entries[name])
	}
	return f
}
