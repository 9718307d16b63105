package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
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

// Open begins to open the vault and returns at once.
func (v *Vault) Open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begin(v.wait)
}

// Close waits for an opening that is under way.
func (v *Vault) Close() { v.work.Wait() }

// begin starts an opening, or gives the one under way; nil where there is nothing
// to open. v.mu is held.
func (v *Vault) begin(wait time.Duration) *attempt {
	if v.attempt != nil || v.file == nil || v.open != nil {
		return v.attempt
	}
	a := &attempt{done: make(chan struct{})}
	v.attempt = a
	info := v.file.KEK
	v.work.Go(func() {
		kek, err := v.fetch(info, wait)
		v.finish(a, kek, err)
	})
	return a
}

// fetch gets the KEK from where the file says it is, without asking a person.
func (v *Vault) fetch(info kekInfo, wait time.Duration) ([]byte, error) {
	switch info.Source {
	case fromKeychain:
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return v.fromKeychain(ctx)
	case fromCredential:
		if v.credential == nil {
			return nil, fmt.Errorf("the service was started without the credential %s", CredentialName)
		}
		return v.credential, nil
	case fromPassphrase:
		return nil, errPassphrase
	}
	return nil, fmt.Errorf("its key comes from %q, which this version does not know", info.Source)
}

// errPassphrase means that only a person can open the vault.
var errPassphrase = errors.New("it is opened with a passphrase")

func (v *Vault) fromKeychain(ctx context.Context) ([]byte, error) {
	if v.keychain == nil {
		return nil, &KeychainError{Reason: Absent}
	}
	text, err := v.keychain.Get(ctx, keychainService, keychainAccount)
	if err != nil {
		return nil, err
	}
	kek, err := parseKEK(text.Reveal())
	if err != nil {
		return nil, errors.New("the keychain's item for the vault is not a key")
	}
	return kek, nil
}

// finish ends an attempt: the vault is open, or the reason is known.
func (v *Vault) finish(a *attempt, kek []byte, err error) {
	v.mu.Lock()
	if err == nil && v.byPerson {
		err = errByPerson
	}
	if err == nil {
		err = v.openWith(kek)
	}
	if err != nil {
		v.reason = err
		v.retryAt = v.now().Add(v.backoff)
		v.backoff = min(2*v.backoff, lastRetry)
	}
	a.err, v.attempt = err, nil
	problems := v.tampered()
	hooks := slices.Clone(v.onOpen)
	v.mu.Unlock()
	close(a.done)
	if err != nil {
		v.log.Warn("key vault stays locked", "reason", sentence(err), "detail", detail(err))
		return
	}
	v.log.Info("key vault opened")
	for _, p := range problems {
		v.log.Error("key vault has a problem", "problem", p)
	}
	for _, fn := range hooks {
		fn()
	}
}

// openWith opens the vault with a KEK; v.mu is held.
func (v *Vault) openWith(kek []byte) error {
	if v.file == nil {
		return errors.New("its file is no longer there")
	}
	o, err := newOpener(kek, v.file.ID)
	if err != nil {
		return err
	}
	if !v.file.opens(o) {
		return errWrongKEK
	}
	v.unsealAll(o)
	return nil
}

// errWrongKEK means that a KEK is not this vault's.
var errWrongKEK = errors.New("this is not the key of this vault")

// unsealAll unseals the entries and makes the vault open; v.mu is held.
func (v *Vault) unsealAll(o *opener) {
	v.open, v.reason, v.byPerson, v.backoff = o, nil, false, firstRetry
	v.items = make(map[id]opened, len(v.file.Entries))
	for _, s := range v.file.Entries {
		it := s.item()
		key, err := unseal(o.entries, s.Sealed, s.aad())
		if err != nil {
			err = &fault.Error{
				Kind:    fault.Locked,
				Message: fmt.Sprintf("the key of provider %q does not open: its entry in %s was changed", name(it), filepath.Base(v.path)),
				Next:    "hostless keys add " + s.Provider,
			}
		}
		it.Key = secret.New(string(key))
		v.items[id{s.Provider, s.Label}] = opened{it, err}
	}
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

// Get gives a provider's entries, by label; none is no error. A vault that is
// being opened for the first time is waited for a few seconds. A locked one that
// holds an entry of the provider is fault.Locked, at once; so is an entry that
// does not open.
func (v *Vault) Get(ctx context.Context, provider string) ([]Item, error) {
	v.mu.Lock()
	if v.damaged != nil {
		defer v.mu.Unlock()
		return nil, &fault.Error{Kind: fault.Locked, Message: v.damagedMessage(), Next: "hostless keys list"}
	}
	if !v.holds(provider) {
		v.mu.Unlock()
		return nil, nil
	}
	if v.open == nil {
		if err := v.awaitOpen(ctx); err != nil { // releases v.mu while it waits
			v.mu.Unlock()
			return nil, err
		}
	}
	defer v.mu.Unlock()
	var out []Item
	for _, s := range v.file.Entries {
		if s.Provider != provider {
			continue
		}
		o := v.items[id{s.Provider, s.Label}]
		if o.err != nil {
			return nil, o.err
		}
		out = append(out, o.Item)
	}
	return out, nil
}

// Item gives one entry; none is fault.NotFound, one that does not open fault.Locked.
func (v *Vault) Item(ctx context.Context, provider, label string) (Item, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file != nil && v.open == nil {
		if err := v.awaitOpen(ctx); err != nil {
			return Item{}, err
		}
	}
	o, ok := v.items[id{provider, label}]
	if !ok {
		return Item{}, fault.New(fault.NotFound, "no such entry in the key vault")
	}
	return o.Item, o.err
}

// Holds reports whether an entry of the provider is sealed, or may be: a file that
// cannot be read is not taken for an empty one.
func (v *Vault) Holds(provider string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.damaged != nil || v.holds(provider)
}

// holds reports whether an entry of the provider is sealed; v.mu is held.
func (v *Vault) holds(provider string) bool {
	return v.file != nil && slices.ContainsFunc(v.file.Entries, func(s sealed) bool { return s.Provider == provider })
}

// awaitOpen waits for the vault as long as a request may; v.mu is held, and let
// go meanwhile.
func (v *Vault) awaitOpen(ctx context.Context) error {
	if v.byPerson {
		return lockedFault(errByPerson)
	}
	first := v.reason == nil
	if !first && v.attempt == nil && (v.now().Before(v.retryAt) || v.file.KEK.Source != fromKeychain) {
		return lockedFault(v.reason)
	}
	a := v.begin(v.wait)
	if !first || a == nil {
		return lockedFault(v.reason) // asked again in the background
	}
	v.mu.Unlock()
	timer := time.NewTimer(v.hold)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	v.mu.Lock()
	switch {
	case v.open != nil && v.file != nil:
		return nil
	case v.reason != nil:
		return lockedFault(v.reason)
	}
	return lockedFault(errors.New("the keychain has not answered yet"))
}

// List tells the entries, sorted, without their keys.
func (v *Vault) List() (items []Item, locked bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.damaged != nil {
		return nil, true, &fault.Error{Kind: fault.Locked, Message: v.damagedMessage()}
	}
	if v.file == nil {
		return nil, false, nil
	}
	for _, s := range v.file.Entries {
		items = append(items, s.item())
	}
	return items, v.open == nil, nil
}

// Exists reports whether there is a vault.
func (v *Vault) Exists() bool { return v.State().Exists }

// Opening reports whether the vault is being opened for the first time.
func (v *Vault) Opening() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.attempt != nil && v.reason == nil
}

// Create makes an empty vault whose KEK comes from the credential, where there is
// one, or from the keychain, where a write, a read and a comparison work. An
// existing vault is no error. What failed is a *KeychainError.
func (v *Vault) Create(ctx context.Context) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if s := v.State(); s.Exists && v.usable() {
		return nil
	}
	info, kek := kekInfo{Source: fromCredential}, v.credential
	if kek == nil {
		info.Source = fromKeychain
		ctx, cancel := context.WithTimeout(ctx, v.wait)
		defer cancel()
		var err error
		if kek, err = v.keychainKEK(ctx); err != nil {
			return err
		}
	}
	return v.create(kek, info)
}

// usable reports whether the file on disk can be written on.
func (v *Vault) usable() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.damaged == nil
}

// keychainKEK finds the KEK in the keychain, which other homes may use too, or
// makes one there. A keychain whose prompt was closed may say that it has stored
// what it has not: the KEK counts once it has been read back.
func (v *Vault) keychainKEK(ctx context.Context) ([]byte, error) {
	kek, err := v.fromKeychain(ctx)
	if err == nil || reasonOf(err) != Missing {
		return kek, err
	}
	kek = randomKEK()
	text := secret.New(hex.EncodeToString(kek))
	if err := v.keychain.Set(ctx, keychainService, keychainAccount, text); err != nil {
		return nil, err
	}
	read, err := v.keychain.Get(ctx, keychainService, keychainAccount)
	if err != nil || !read.Equal(text) {
		if reasonOf(err) != Missing && err != nil {
			return nil, err
		}
		return nil, &KeychainError{Reason: Dismissed, Detail: "what was stored could not be read back"}
	}
	return kek, nil
}

// create writes an empty vault, a damaged one kept aside; v.writing is held.
func (v *Vault) create(kek []byte, info kekInfo) error {
	file, o, err := newContents(kek, info)
	if err != nil {
		return err
	}
	if !v.usable() {
		aside, err := config.KeepAside(v.path, v.now())
		if err != nil {
			return err
		}
		v.log.Warn("key vault could not be used and is kept aside", "path", aside)
	}
	return v.write(file, o)
}

// write makes contents the vault's, on disk first; v.writing is held. A file that
// something else has changed is kept aside before it is replaced.
func (v *Vault) write(file *contents, o *opener) error {
	data := file.encode(o)
	v.mu.Lock()
	foreign := v.file != nil && v.open != nil && (v.edited || !v.file.intact(v.open))
	v.mu.Unlock()
	if foreign {
		aside, err := config.CopyAside(v.path, v.now())
		if err != nil {
			return err
		}
		v.log.Warn("key vault was changed by something else and is kept aside", "path", aside)
	}
	if err := config.WritePrivate(v.path, data); err != nil {
		return err
	}
	v.mu.Lock()
	v.file, v.damaged, v.edited = file, nil, false
	v.unsealAll(o)
	v.mu.Unlock()
	return nil
}

// edit changes the open vault: what change makes of a copy is written. A locked
// one is fault.Locked.
func (v *Vault) edit(ctx context.Context, change func(*contents, *opener) error) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	if v.file == nil {
		v.mu.Unlock()
		return &fault.Error{Kind: fault.Locked, Message: "there is no key vault that can be written", Next: "hostless keys list"}
	}
	if v.open == nil {
		if err := v.awaitOpen(ctx); err != nil {
			v.mu.Unlock()
			return err
		}
	}
	file, o := v.file.clone(), v.open
	v.mu.Unlock()
	if err := change(file, o); err != nil {
		return err
	}
	return v.write(file, o)
}

// Put seals an item, in place of an earlier one with its provider and label. It
// is on disk, and has been opened from there, when Put returns.
func (v *Vault) Put(ctx context.Context, it Item) error {
	err := v.edit(ctx, func(c *contents, o *opener) error {
		c.put(o, it)
		return nil
	})
	if err != nil {
		return err
	}
	return v.verify(it)
}

// verify reads an item back from disk.
func (v *Vault) verify(it Item) error {
	data, err := os.ReadFile(v.path)
	if err != nil {
		return fmt.Errorf("read key vault back: %w", err)
	}
	file, _, err := decode(data)
	if err != nil {
		return fmt.Errorf("read key vault back: %w", err)
	}
	v.mu.Lock()
	o := v.open
	v.mu.Unlock()
	if o == nil {
		return lockedFault(nil)
	}
	for _, s := range file.Entries {
		if s.Provider == it.Provider && s.Label == it.Label {
			key, err := unseal(o.entries, s.Sealed, s.aad())
			if err == nil && it.Key.Equal(secret.New(string(key))) {
				return nil
			}
		}
	}
	return fmt.Errorf("the key of %s could not be read back from %s", name(it), v.path)
}

// Delete removes an entry; found is false where there is none.
func (v *Vault) Delete(ctx context.Context, provider, label string) (found bool, err error) {
	v.mu.Lock()
	held := v.file != nil && slices.ContainsFunc(v.file.Entries, func(s sealed) bool { return s.Provider == provider && s.Label == label })
	v.mu.Unlock()
	if !held {
		return false, nil
	}
	return true, v.edit(ctx, func(c *contents, _ *opener) error {
		c.remove(provider, label)
		return nil
	})
}

// Unlock opens the vault for a person who waits. A vault with a passphrase needs
// it, and without one is fault.Invalid with the code "passphrase_required". Where
// there is no vault, create says that one is wanted: its KEK then comes from the
// credential or the keychain, or from the passphrase where there is neither.
func (v *Vault) Unlock(ctx context.Context, passphrase secret.String, create bool) error {
	v.mu.Lock()
	file := v.file
	damaged, open := v.damaged, v.open != nil
	v.byPerson = false
	v.mu.Unlock()
	switch {
	case damaged != nil:
		return &fault.Error{Kind: fault.Locked, Message: v.damagedMessage()}
	case open:
		return nil
	case file == nil && create:
		return v.createFor(ctx, passphrase)
	case file == nil:
		return &fault.Error{Kind: fault.NotFound, Message: "there is no key vault: the keys are in keys.env", Next: "hostless keys migrate --to keychain"}
	case file.KEK.Source == fromPassphrase:
		return v.unlockWith(file, passphrase)
	}
	// One that is under way has less time than a person needs: it is waited for,
	// then asked again.
	var err error
	for range 2 {
		v.mu.Lock()
		running := v.attempt != nil
		a := v.begin(unlockWait)
		v.mu.Unlock()
		if a == nil {
			return nil
		}
		select {
		case <-a.done:
			err = a.err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err == nil {
			return nil
		}
		if !running {
			break
		}
	}
	return lockedFault(err)
}

func (v *Vault) unlockWith(file *contents, passphrase secret.String) error {
	if passphrase.IsZero() {
		return passphraseRequired("the key vault is opened with a passphrase", "passphrase_required")
	}
	kek, err := file.KEK.derive(passphrase)
	if err != nil {
		return err
	}
	a := &attempt{done: make(chan struct{})}
	v.finish(a, kek, nil)
	if errors.Is(a.err, errWrongKEK) {
		return &fault.Error{Kind: fault.Invalid, Message: "this passphrase does not open the key vault", Next: "hostless unlock", Param: "passphrase", Code: "wrong_passphrase"}
	}
	return a.err
}

func passphraseRequired(message, code string) error {
	return &fault.Error{Kind: fault.Invalid, Message: message, Next: "hostless unlock, in a terminal", Param: "passphrase", Code: code}
}

// createFor makes a vault for a person who waits.
func (v *Vault) createFor(ctx context.Context, passphrase secret.String) error {
	err := v.Create(ctx)
	var k *KeychainError
	switch {
	case err == nil || !errors.As(err, &k):
		return err
	case k.Reason != Absent:
		return lockedFault(err)
	case passphrase.IsZero():
		return passphraseRequired(k.Error()+"; a passphrase can seal the keys instead", "new_passphrase_required")
	case len(passphrase.Reveal()) < minPassphrase:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("a passphrase needs at least %d characters", minPassphrase), Next: "hostless unlock", Param: "passphrase"}
	}
	info := newPassphrase()
	kek, err := info.derive(passphrase)
	if err != nil {
		return err
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	if v.Exists() {
		return nil
	}
	return v.create(kek, info)
}

// errByPerson means that a person has locked the vault.
var errByPerson = errors.New("hostless lock locked it")

// Lock forgets the KEK and all keys. It reports whether there was an open vault.
func (v *Vault) Lock() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file == nil {
		return false
	}
	was := v.open != nil
	v.open, v.items, v.byPerson = nil, nil, true
	v.reason = errByPerson
	return was
}

// Seal seals a file of another package; purpose names it and is bound to it. A
// locked vault is fault.Locked.
func (v *Vault) Seal(purpose string, plain []byte) ([]byte, error) {
	v.mu.Lock()
	o, reason := v.open, v.reason
	v.mu.Unlock()
	if o == nil {
		return nil, lockedFault(reason)
	}
	return seal(o.files, plain, lengthPrefixed("hostless-file", purpose)), nil
}

// Unseal opens what Seal sealed. What does not open is fault.Invalid; a locked
// vault is fault.Locked.
func (v *Vault) Unseal(purpose string, data []byte) ([]byte, error) {
	v.mu.Lock()
	o, reason := v.open, v.reason
	v.mu.Unlock()
	if o == nil {
		return nil, lockedFault(reason)
	}
	plain, err := unseal(o.files, data, lengthPrefixed("hostless-file", purpose))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: purpose + " was changed, or sealed by another vault"}
	}
	return plain, nil
}
