package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/hostless/hostless/pkg/fault"
)

// exitInterrupted is 128 and SIGINT, as a shell tells it.
const exitInterrupted = 130

// exitError carries a child's exit code out of a command: nothing is printed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage is wrong usage of a command.
func usage(format string, args ...any) *fault.Error {
	return fault.New(fault.Usage, fmt.Sprintf(format, args...))
}

// badArgument makes wrong usage of a value that came from the command line and
// that the daemon, which knows what is allowed, found wrong.
func badArgument(err error) error {
	if !fault.Is(err, fault.Invalid) {
		return err
	}
	f := *fault.From(err)
	f.Kind = fault.Usage
	return &f
}

// report prints an error once, as `hostless: what failed: why` and the next
// step, and chooses the exit code.
func (e *env) report(ctx context.Context, err error) int {
	var exit exitError
	if errors.As(err, &exit) {
		return int(exit)
	}
	if errors.Is(err, syscall.EPIPE) {
		return 0 // who reads our output has seen enough
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || fault.Is(err, fault.Unreachable)) {
		return exitInterrupted
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		f = &fault.Error{Kind: fault.Internal, Message: err.Error()}
	} else if f.Kind == fault.Unreachable {
		f = e.explain(ctx, f)
	}
	var b strings.Builder
	if what := e.line.name(); what != "" {
		b.WriteString(what + ": ")
	}
	b.WriteString(f.Message)
	if f.Kind == fault.Internal && f.Err != nil && !noManager(f.Err) && !strings.Contains(f.Message, f.Err.Error()) {
		b.WriteString(": " + strings.ReplaceAll(f.Err.Error(), "\n", "; "))
	}
	b.WriteByte('\n')
	next := f.Next
	if next == "" && f.Kind == fault.Usage {
		next = strings.TrimSpace("hostless "+e.line.name()) + " --help"
	}
	if next != "" {
		b.WriteString("  next: " + next + "\n")
	}
	fmt.Fprint(e.err, e.paint(e.err, red, "hostless:")+" "+printable(b.String()))
	return f.Kind.Exit()
}

// explain adds to an unreachable daemon what only this program can find out:
// whether there is a daemon to start at all.
func (e *env) explain(ctx context.Context, f *fault.Error) *fault.Error {
	if !errors.Is(f.Err, fs.ErrNotExist) && !errors.Is(f.Err, syscall.ECONNREFUSED) {
		return f
	}
	if _, err := e.daemonBinary(); err != nil {
		missing := *fault.From(err)
		missing.Kind = fault.Unreachable
		return &missing
	}
	described := *f
	described.Next = e.startCommand(ctx)
	return &described
}
