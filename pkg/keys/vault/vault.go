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

// Location of the KEK in the keychain.
const (
	keychainService = "hostless"
	keychainAccount = "vault-kek-v1"
)

// Timeouts.
const (
	keychainWait = 10 * time.Second // for a keychain when no user is known to be present
	unlockWait   = 60 * time.Second // for a keychain whose prompt a user can answer
	requestWait  = 3 * time.Second  // of a request, for a vault that is being opened
	firstRetry   = 30 * time.Second // until a keychain that failed is tried again
	lastRetry    = 10 * time.Minute
)

// Config configures a Vault.
type Config struct {
	Path       string           // vault.json; required
	Keychain   Keychain         // nil means none
	Credential []byte           // KEK from the service manager; nil means none
	Now        func() time.Time // time.Now when nil
	Logger     *slog.Logger     // discards when nil

	KeychainWait time.Duration // 10 s when 0
	RequestWait  time.Duration // 3 s when 0
}

// Vault is vault.json with its lock state. It is safe for concurrent use. Only Put,
// Delete, Create and Unlock wait for a keychain, and they do not hold a mutex that
// requests need.
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
	file     *contents // nil if there is none
	damaged  error     // why the file on disk cannot be used
	edited   bool      // another program changed the file
	open     *opener   // nil while locked
	items    map[id]opened
	attempt  *attempt // the attempt in progress
	reason   error    // why the last attempt failed; nil before the first
	byPerson bool     // locked by `hostless lock`: only Unlock opens it
	retryAt  time.Time
	backoff  time.Duration
	onOpen   []func()

	writing sync.Mutex // held during a change of the file; locked before mu
}

type id struct{ provider, label string }

// opened is an entry of an open vault, or the reason why it cannot be unsealed.
type opened struct {
	Item
	err error
}

// attempt is one attempt to open the vault. err is valid after done is closed.
type attempt struct {
	done chan struct{}
	err  error
}

// State is the public state of a vault.
type State struct {
	Exists bool
	Locked bool
	Source string // keychain, credential or passphrase
	Reason string // why it is locked, as a sentence
}

// New returns a vault and reads its file. It does not open the vault; see Open. The
// warnings report a file that cannot be used, which stays in place.
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

// Reload reads the file again, because it may have been restored from a backup. An open
// vault stays open if its KEK opens the new file.
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
		warnings = append(warnings, v.path+" was readable by others; its permissions have been corrected")
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

// reopen tries the open vault's KEK with a file that was read again. v.mu must be held.
func (v *Vault) reopen(file *contents) (*opener, error) {
	if file.opens(v.open) {
		return v.open, nil
	}
	return nil, errors.New("the file was replaced by one with another key")
}

func (v *Vault) damagedMessage() string {
	return fmt.Sprintf("%s cannot be used: %v. Restore it from a backup, or add the keys again", v.path, v.damaged)
}

// tampered reports problems with a file that could be parsed. v.mu must be held.
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

// Warnings reports problems with the file and why the vault is locked.
func (v *Vault) Warnings() (all []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.damaged != nil {
		return []string{v.damagedMessage()}
	}
	all = v.tampered()
	if v.file != nil && v.open == nil && v.reason != nil {
		all = append(all, "the key vault is locked: "+sentence(v.reason)+"; unlock it with: hostless unlock")
	}
	return all
}

// State returns the state of the vault.
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

// OnOpen registers a function that is called each time the vault has been opened, in a
// goroutine without locks held.
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

// lockedFault is the error for a request that needs a key of a locked vault.
func lockedFault(reason error) error {
	message := "the key vault is locked"
	if reason != nil {
		message += ": " + sentence(reason)
	}
	return &fault.Error{Kind: fault.Locked, Message: message, Next: "hostless unlock", Code: "vault_locked", Err: reason}
}

// sentence makes an error public: our own errors unchanged, others without details.
func sentence(err error) string {
	var k *KeychainError
	switch {
	case errors.As(err, &k) && k.Reason == Missing:
		return "the keychain no longer has the vault's key"
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
