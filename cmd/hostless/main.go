// Command hostless is the control client of hostlessd.
//
// It owns the command line, with one file for each command group. It reaches the daemon
// through control.Client only. Package launch implements `hostless run`, package service
// the login service.
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
