package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// Where the KEK is in the keychain.
const (
	keychainService = "hostless"
	keychainAccount = "vault-kek-v1"
)

// How long is waited.
const (
	keychainWait = 10 * time.Second // for a keychain that nobody is known to sit before
	unlockWait   = 60 * time.Second // for one that a person answers
	requestWait  = 3 * time.Second  // of a request, for a vault that is being opened
	firstRetry   = 30 * time.Second // until a keychain that did not open is asked again
	lastRetry    = 10 * time.Minute
)

// Config is what New needs.
type Config struct {
	Path       string           // vault.json; required
	Keychain   Keychain         // none when nil
	Credential []byte           // a KEK that the service manager gave; none when nil
	Now        func() time.Time // time.Now when nil
	Logger     *slog.Logger     // discards when nil

	KeychainWait time.Duration // 10 s when 0
	RequestWait  time.Duration // 3 s when 0
}

// Vault is vault.json and the state of its lock. It is safe for concurrent use.
// Only Put, Delete, Create and Unlock wait for a keychain, and none of them while
// it holds a lock that a request needs.
type Vault struct {
	path       string
	keychain   Keychain
	credential []byte
	now        func() time.Time
	log        *slog.Logger
	wait       time.Duration
	hold       time.Duration
	work       sync.WaitGroup

	mu       sync.Mutex
	file     *contents // nil where there is none
	damaged  error     // why the file on disk cannot be used
	edited   bool      // its bytes are not those that were written
	open     *opener   // nil while locked
	items    map[id]opened
	attempt  *attempt // an opening that is under way
	reason   error    // why the last one failed; nil before the first
	byPerson bool     // locked by `hostless lock`: it is opened by Unlock alone
	retryAt  time.Time
	backoff  time.Duration
	onOpen   []func()

	writing sync.Mutex // held over a change of the file; before mu
}

type id struct{ provider, label string }

// opened is an entry of an open vault, or why it does not open.
type opened struct {
	Item
	err error
}

// attempt is one opening; err is valid once done is closed.
type attempt struct {
	done chan struct{}
	err  error
}

// State is what may be shown of a vault.
type State struct {
	Exists bool
	Locked bool
	Source string // keychain, credential or passphrase
	Reason string // why it is locked, in a sentence
}

// New makes a vault and reads its file, without opening it: see Open. The
// warnings tell of a file that cannot be used, which stays where it is.
func New(cfg Config) (v *Vault, warnings []string, err error) {
	if cfg.Path == "" {
		return nil, nil, errors.New("key vault needs a path")
	}
	v = &Vault{
		path: cfg.Path, keychain: cfg.Keychain, credential: cfg.Credential, now: cfg.Now, log: cfg.Logger,
		wait: cfg.KeychainWait, hold: cfg.RequestWait, backoff: firstRetry,
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	if v.wait == 0 {
		v.wait = keychainWait
	}
	if v.hold == 0 {
		v.hold = requestWait
	}
	warnings, err = v.Reload()
	return v, warnings, err
}

// Reload reads the file again, as it may have been restored by hand. An open
// vault stays open where its KEK opens the file.
func (v *Vault) Reload() (warnings []string, err error) {
	data, readable, err := config.ReadPrivate(v.path)
	v.mu.Lock()
	defer v.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		v.file, v.damaged, v.edited, v.open, v.items = nil, nil, false, nil, nil
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key vault: %w", err)
	}
	if readable {
		warnings = append(warnings, v.path+" was readable by others and has been closed")
	}
	file, canonical, err := decode(data)
	if err != nil {
		v.file, v.open, v.items = nil, nil, nil
		v.damaged = err
		return append(warnings, v.damagedMessage()), nil
	}
	v.file, v.damaged, v.edited = file, nil, !canonical
	if v.open != nil {
		if o, err := v.reopen(file); err == nil {
			v.unsealAll(o)
		} else {
			v.open, v.items, v.reason = nil, nil, err
		}
	}
	return append(warnings, v.tampered()...), nil
}

// reopen tries the open vault's KEK on a file that was read again; v.mu is held.
func (v *Vault) reopen(file *contents) (*opener, error) {
	if file.opens(v.open) {
		return v.open, nil
	}
	return nil, errors.New("the file was replaced by one with another key")
}

func (v *Vault) damagedMessage() string {
	return fmt.Sprintf("%s cannot be used: %v. Restore it from a backup, or add the keys again", v.path, v.damaged)
}

// tampered tells what is wrong with a file that could be read; v.mu is held.
func (v *Vault) tampered() (problems []string) {
	if v.file == nil {
		return nil
	}
	if v.edited || v.open != nil && !v.file.intact(v.open) {
		problems = append(problems, v.path+" was changed by something other than Hostless: compare it with a backup")
	}
	for _, s := range v.file.Entries {
		if o, ok := v.items[id{s.Provider, s.Label}]; ok && o.err != nil {
			problems = append(problems, fault.From(o.err).Message)
		}
	}
	return problems
}

// Warnings tells what is wrong with the file and why the vault is locked.
func (v *Vault) Warnings() (all []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.damaged != nil {
		return []string{v.damagedMessage()}
	}
	all = v.tampered()
	if v.file != nil && v.open == nil && v.reason != nil {
		all = append(all, "the key vault is locked: "+sentence(v.reason)+"; hostless unlock opens it")
	}
	return all
}

// State tells how the vault is.
func (v *Vault) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := State{Exists: v.file != nil || v.damaged != nil, Locked: v.file != nil && v.open == nil}
	if v.file != nil {
		s.Source = v.file.KEK.Source
	}
	if s.Locked && v.reason != nil {
		s.Reason = sentence(v.reason)
	}
	return s
}

// OnOpen has fn called each time that the vault has opened, in a goroutine that
// holds no lock.
func (v *Vault) OnOpen(fn func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onOpen = append(v.onOpen, fn)
}

func name(it Item) string {
	if it.Label == "" {
		return it.Provider
	}
	return it.Provider + " (" + it.Label + ")"
}

// lockedFault is what a request gets that needs a key of a locked vault.
func lockedFault(reason error) error {
	message := "the key vault is locked"
	if reason != nil {
		message += ": " + sentence(reason)
	}
	return &fault.Error{Kind: fault.Locked, Message: message, Next: "hostless unlock", Code: "vault_locked", Err: reason}
}

// sentence says an error in public: what is ours as it is, what is not without
// its detail.
func sentence(err error) string {
	var k *KeychainError
	switch {
	case errors.As(err, &k) && k.Reason == Missing:
		return "the keychain no longer holds the vault's key"
	case errors.As(err, &k):
		return k.Error()
	}
	return err.Error()
}

func detail(err error) string {
	var k *KeychainError
	if errors.As(err, &k) {
		return k.Detail
	}
	return ""
}
