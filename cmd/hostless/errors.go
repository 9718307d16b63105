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

// exitInterrupted is 128+SIGINT, the exit code that shells use.
const exitInterrupted = 130

// exitError carries a child's exit code out of a command. Nothing is printed for it.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage returns the error for wrong usage of a command.
func usage(format string, args ...any) *fault.Error {
	return fault.New(fault.Usage, fmt.Sprintf(format, args...))
}

// badArgument turns the daemon's error about a value into wrong usage where the value
// came from the command line.
func badArgument(err error) error {
	if !fault.Is(err, fault.Invalid) {
		return err
	}
	f := *fault.From(err)
	f.Kind = fault.Usage
	return &f
}

// report prints an error as `hostless: what failed: why` with the next step, and
// returns the exit code.
func (e *env) report(ctx context.Context, err error) int {
	var exit exitError
	if errors.As(err, &exit) {
		return int(exit)
	}
	if errors.Is(err, syscall.EPIPE) {
		return 0 // the reader of the output has closed the pipe
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

// explain completes the error for an unreachable daemon with what only this program
// can find out: whether hostlessd is installed at all.
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
