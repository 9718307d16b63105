package reference

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// How long values and failures are cached, and programs may run.
const (
	defaultTTL  = 10 * time.Minute // then the value is refreshed in the background
	failureTTL  = 5 * time.Second  // avoids starting a program for each request
	managerTime = 10 * time.Second // op, bw, pass and the keychain
	commandTime = 5 * time.Second  // a declared command
	maxValue    = 16 << 10
)

// Command is a program that the user has declared for cmd:// references.
type Command struct {
	Argv     []string // program and arguments, run without a shell
	CacheTTL time.Duration
}

// Config configures a Resolver. All fields except Commands and Keychain have defaults.
type Config struct {
	// Commands returns a declared command.
	Commands func(name string) (Command, bool)
	// Keychain reads an item of the OS keychain.
	Keychain func(ctx context.Context, service, account string) (secret.String, error)
	Environ  []string // environment of the programs and for env://; os.Environ() when nil
	Now      func() time.Time
	Logger   *slog.Logger
}

// Resolver resolves references and caches their values. It is safe for concurrent use.
type Resolver struct {
	cfg  Config
	work sync.WaitGroup

	mu     sync.Mutex
	values map[string]*value
	epoch  int // incremented by Forget, so that results of earlier programs are dropped
}

// value is the cached result of a reference.
type value struct {
	key      secret.String
	err      error
	until    time.Time
	resolved bool
	running  chan struct{} // closed when the running program ends; nil if none is running
}

// New returns a Resolver.
func New(cfg Config) *Resolver {
	if cfg.Environ == nil {
		cfg.Environ = os.Environ()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Resolver{cfg: cfg, values: map[string]*value{}}
}

// Resolve returns the key for a reference. A cached value is returned at once, and
// refreshed in the background when it is old; otherwise Resolve runs a program and waits
// for it until ctx ends. The error is fault.Locked. It names the reference and the
// program, but never includes the program's output.
func (r *Resolver) Resolve(ctx context.Context, ref Reference) (secret.String, error) {
	switch ref.scheme {
	case "env", "file": // as fast as the cache, and always current
		key, err := r.read(ref)
		return key, describe(ref, err)
	}
	r.mu.Lock()
	v := r.values[ref.text]
	if v == nil {
		v = &value{}
		r.values[ref.text] = v
	}
	if v.running == nil && !r.cfg.Now().Before(v.until) {
		r.start(ref, v)
	}
	if v.resolved {
		defer r.mu.Unlock()
		return v.key, nil
	}
	running := v.running
	if running == nil {
		defer r.mu.Unlock()
		return secret.String{}, v.err
	}
	r.mu.Unlock()
	select {
	case <-running:
	case <-ctx.Done():
		return secret.String{}, describe(ref, &failure{program: programOf(ref), what: "has not finished yet"})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return v.key, v.err
}

// start runs the reference's program. r.mu must be held.
func (r *Resolver) start(ref Reference, v *value) {
	running := make(chan struct{})
	v.running = running
	epoch := r.epoch
	r.work.Go(func() {
		key, ttl, err := r.run(ref)
		r.mu.Lock()
		defer r.mu.Unlock()
		defer close(running)
		v.running = nil
		switch {
		case r.epoch != epoch: // Forget was called in the meantime
			v.err = describe(ref, errors.New("the keys were locked in the meantime"))
		case err == nil:
			v.key, v.err, v.resolved, v.until = key, nil, true, r.cfg.Now().Add(ttl)
		default:
			v.err, v.until = describe(ref, err), r.cfg.Now().Add(failureTTL)
			r.cfg.Logger.Warn("key reference cannot be resolved", "reference", ref.text, "error", err, "kept", v.resolved)
		}
	})
}

// run resolves a reference.
func (r *Resolver) run(ref Reference) (key secret.String, ttl time.Duration, err error) {
	limit, argv, ttl := managerTime, []string(nil), defaultTTL
	pick := func(out string) (string, error) { return out, nil }
	switch ref.scheme {
	case "op":
		argv = []string{"op", "read", "--no-newline", ref.parts[0]}
	case "pass":
		argv = []string{"pass", "show", ref.parts[0]}
		pick = func(out string) (string, error) { // the password is the first line, by convention
			first, _, _ := strings.Cut(out, "\n")
			return first, nil
		}
	case "bw":
		argv, pick = bitwarden(ref.parts[0], ref.parts[1])
	case "cmd":
		c, ok := r.cfg.Commands(ref.parts[0])
		if !ok {
			return key, 0, errors.New("no command with this name is declared")
		}
		limit, argv = commandTime, c.Argv
		if c.CacheTTL > 0 {
			ttl = c.CacheTTL
		}
	case "keyring":
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if key, err = r.cfg.Keychain(ctx, ref.parts[0], ref.parts[1]); err == nil {
			key, err = clean(key.Reveal(), "the keychain")
		}
		return key, ttl, err
	}
	out, err := execute(argv, r.cfg.Environ, limit)
	if err == nil {
		out, err = pick(out)
	}
	if err != nil {
		return key, 0, err
	}
	key, err = clean(out, argv[0])
	return key, ttl, err
}

// read resolves references that need no program.
func (r *Resolver) read(ref Reference) (secret.String, error) {
	if ref.scheme == "env" {
		for _, kv := range r.cfg.Environ {
			if name, text, _ := strings.Cut(kv, "="); name == ref.parts[0] {
				return clean(text, "the variable")
			}
		}
		return secret.String{}, errors.New("the daemon's environment has no such variable")
	}
	f, err := os.OpenFile(ref.parts[0], os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		var e syscall.Errno
		if errors.As(err, &e) {
			err = e // err names the path already
		}
		return secret.String{}, fmt.Errorf("the file cannot be opened: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return secret.String{}, err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return secret.String{}, errors.New("it is not a plain file")
	case !known || int(owner.Uid) != os.Geteuid() && owner.Uid != 0:
		return secret.String{}, errors.New("the file belongs to another user")
	case info.Mode().Perm()&0o077 != 0 && int(owner.Uid) == os.Geteuid():
		return secret.String{}, errors.New("other users can read the file: run chmod 600 on it")
	case info.Mode().Perm()&0o007 != 0:
		return secret.String{}, errors.New("all users can read the file")
	case info.Size() > maxValue:
		return secret.String{}, fmt.Errorf("the file is longer than %d bytes", maxValue)
	}
	text := make([]byte, info.Size())
	n, err := f.Read(text)
	if err != nil && n == 0 && info.Size() > 0 {
		return secret.String{}, errors.New("the file cannot be read")
	}
	return clean(string(text[:n]), "the file")
}

// clean validates the output as a key.
func clean(text, who string) (secret.String, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return secret.String{}, &failure{program: who, what: "gave nothing"}
	case len(text) > maxValue:
		return secret.String{}, &failure{program: who, what: fmt.Sprintf("returned more than %d bytes", maxValue)}
	case strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || c > unicode.MaxASCII }):
		return secret.String{}, &failure{program: who, what: "returned more than one line, or something that is not a key"}
	}
	return secret.New(text), nil
}

// Forget drops all cached values and returns their number.
func (r *Resolver) Forget() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.values {
		if v.resolved {
			n++
		}
	}
	r.values = map[string]*value{}
	r.epoch++
	return n
}

// Close waits for running programs.
func (r *Resolver) Close() { r.work.Wait() }

// describe converts a failure into a public error.
func describe(ref Reference, err error) error {
	if err == nil {
		return nil
	}
	next := map[string]string{
		"op": "op signin", "bw": "bw unlock", "pass": "pass show " + ref.parts[0], "keyring": "hostless unlock", "cmd": "hostless command list",
	}[ref.scheme]
	return &fault.Error{
		Kind: fault.Locked, Code: "reference_unresolved", Next: next,
		Message: fmt.Sprintf("the key reference %s cannot be resolved: %v", ref.text, err),
	}
}

// programOf names the program that resolves a reference.
func programOf(ref Reference) string {
	switch ref.scheme {
	case "keyring":
		return "the keychain"
	case "cmd":
		return "the command " + ref.parts[0]
	}
	return ref.scheme
}
