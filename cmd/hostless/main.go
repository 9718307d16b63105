// Command hostless is the control client of hostlessd.
//
// It owns the command line: one file per command group, each command an options
// struct and a function over the streams it is given. All it knows of the daemon
// comes through control.Client; `hostless run` is package launch's, the login
// service package service's.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hostless/hostless/pkg/launch"
)

// version is set by the linker.
var version = ""

func main() {
	if len(os.Args) > 1 && os.Args[1] == launch.GuardArg {
		os.Exit(launch.Guard())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, systemEnv(), os.Args[1:]))
}
