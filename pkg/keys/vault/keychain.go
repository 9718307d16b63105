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

// Keychain stores short secrets in the operating system's keychain. A call may block
// until its context ends, because it may need an answer to a prompt. All errors are
// *KeychainError.
type Keychain interface {
	Get(ctx context.Context, service, account string) (secret.String, error)
	Set(ctx context.Context, service, account string, value secret.String) error
}

// Reason is why a keychain call failed.
type Reason string

// Reasons. KeychainError.Error has a sentence for each.
const (
	Absent    Reason = "absent"    // no keychain on this system or in this session
	Slow      Reason = "slow"      // no response in time
	Dismissed Reason = "dismissed" // the user closed the prompt
	Denied    Reason = "denied"    // the keychain denied access
	Missing   Reason = "missing"   // the keychain is open but has no such item
	Broken    Reason = "broken"    // any other failure
)

// KeychainError is a failure of the keychain. Only Detail, which is for the log, contains
// text from the keychain.
type KeychainError struct {
	Reason Reason
	Wait   time.Duration // the timeout, for Slow
	Detail string
}

// Error returns a sentence for the user.
func (e *KeychainError) Error() string {
	switch e.Reason {
	case Absent:
		if runtime.GOOS == "linux" {
			return "there is no keychain in this session: no Secret Service is running on the D-Bus session bus"
		}
		return "there is no keychain on this system"
	case Slow:
		return fmt.Sprintf("the keychain did not respond within %s: it may be waiting for its password", e.Wait)
	case Dismissed:
		return "the keychain is locked: its password prompt was closed without an answer"
	case Denied:
		return "the keychain refused access to Hostless"
	case Missing:
		return "the keychain has no key with this name"
	}
	return "the keychain failed"
}

// reasonOf returns the reason from an error's chain.
func reasonOf(err error) Reason {
	var k *KeychainError
	if errors.As(err, &k) {
		return k.Reason
	}
	return Broken
}

// HelperArg as the first argument makes a program that calls Helper the helper process.
const HelperArg = "--keychain-helper"

// process is a keychain that is accessed through a helper process. go-keyring waits for a
// prompt without a timeout or context, so the call is canceled by killing the process.
type process struct {
	program string
	env     []string
	turn    chan struct{} // allows one call at a time
}

// NewProcess returns a Keychain whose helper is this program. The program must call
// Helper if its first argument is HelperArg. getenv is used to find the session.
func NewProcess(getenv func(string) string) (Keychain, error) {
	program := "/proc/self/exe" // the running program, even if its file was replaced
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

// maxItem is the maximum size of the helper's output.
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

// exitReasons maps the helper's exit codes.
var exitReasons = map[int]Reason{10: Absent, 11: Dismissed, 12: Denied, 13: Missing, 14: Broken}

// limitedBuffer keeps the first bytes that are written to it.
type limitedBuffer struct {
	text bytes.Buffer // not embedded: its ReadFrom would bypass Write
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxItem - b.text.Len(); room > 0 {
		b.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (b *limitedBuffer) String() string { return b.text.String() }
