package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/secret"
)

// Keychain keeps short secrets in the operating system's keychain. Each call may
// last until its context ends: a person may have to answer a prompt. The errors
// are *KeychainError.
type Keychain interface {
	Get(ctx context.Context, service, account string) (secret.String, error)
	Set(ctx context.Context, service, account string, value secret.String) error
}

// Reason says why a keychain gave nothing.
type Reason string

// The reasons. Each has a sentence of its own.
const (
	Absent    Reason = "absent"    // no keychain on this system, or none for this session
	Slow      Reason = "slow"      // no answer in time
	Dismissed Reason = "dismissed" // the person closed the prompt
	Denied    Reason = "denied"    // the keychain refused
	Missing   Reason = "missing"   // it opened, and has no such item
	Broken    Reason = "broken"    // it failed in another way
)

// KeychainError is a keychain's failure. It holds no text of the keychain's
// but in Detail, which is for the log.
type KeychainError struct {
	Reason Reason
	Wait   time.Duration // how long an answer was waited for, with Slow
	Detail string
}

// Error is the sentence for people.
func (e *KeychainError) Error() string {
	switch e.Reason {
	case Absent:
		if runtime.GOOS == "linux" {
			return "there is no keychain in this session: no Secret Service answers on the D-Bus session bus"
		}
		return "there is no keychain on this system"
	case Slow:
		return fmt.Sprintf("the keychain did not answer within %s: it may be waiting for its password", e.Wait)
	case Dismissed:
		return "the keychain stays locked: its password prompt was closed without an answer"
	case Denied:
		return "the keychain refused access to Hostless"
	case Missing:
		return "the keychain holds no key of this name"
	}
	return "the keychain failed"
}

// reasonOf finds the reason in an error's chain.
func reasonOf(err error) Reason {
	var k *KeychainError
	if errors.As(err, &k) {
		return k.Reason
	}
	return Broken
}

// HelperArg, as the first argument of a program that calls Helper, makes it the
// helper process.
const HelperArg = "--keychain-helper"

// process is a keychain that is asked by a helper process: go-keyring's wait for
// a prompt has neither timeout nor context, so it is ended with its process.
type process struct {
	program string
	env     []string
	turn    chan struct{} // one call at a time
}

// NewProcess makes a Keychain whose helper is this program itself, which must
// call Helper when its first argument is HelperArg. getenv finds the session.
func NewProcess(getenv func(string) string) (Keychain, error) {
	program := "/proc/self/exe" // the running program, even where its file was replaced
	if runtime.GOOS != "linux" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find the keychain helper: %w", err)
		}
	}
	p := &process{program: program, turn: make(chan struct{}, 1)}
	for _, name := range []string{"HOME", "USER", "LOGNAME", "PATH", "LANG", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if value := getenv(name); value != "" {
			p.env = append(p.env, name+"="+value)
		}
	}
	return p, nil
}

func (p *process) Get(ctx context.Context, service, account string) (secret.String, error) {
	out, err := p.call(ctx, "get", service, account, "")
	return secret.New(string(out)), err
}

func (p *process) Set(ctx context.Context, service, account string, value secret.String) error {
	_, err := p.call(ctx, "set", service, account, value.Reveal())
	return err
}

// maxItem bounds what the helper may answer.
const maxItem = 64 << 10

func (p *process) call(ctx context.Context, op, service, account, stdin string) ([]byte, error) {
	start := time.Now()
	slow := func() error { return &KeychainError{Reason: Slow, Wait: time.Since(start).Round(time.Second)} }
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, slow()
	}
	cmd := exec.CommandContext(ctx, p.program, HelperArg, op, service, account)
	cmd.Env = p.env
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr limitedBuffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	detach(cmd)
	err := cmd.Run()
	if err == nil {
		return stdout.text.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, slow()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if reason, ok := exitReasons[exit.ExitCode()]; ok {
			return nil, &KeychainError{Reason: reason, Detail: stderr.String()}
		}
	}
	return nil, &KeychainError{Reason: Broken, Detail: fmt.Sprintf("%v: %s", err, stderr.String())}
}

// exitReasons are the helper's exit codes.
var exitReasons = map[int]Reason{10: Absent, 11: Dismissed, 12: Denied, 13: Missing, 14: Broken}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	text bytes.Buffer // not embedded: its ReadFrom would go round Write
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxItem - b.text.Len(); room > 0 {
		b.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (b *limitedBuffer) String() string { return b.text.String() }
