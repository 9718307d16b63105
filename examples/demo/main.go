// Command demo shows Hostless without installing anything: a temporary home, a daemon on
// a free port, the chat example run with `hostless run`, and a token to try with curl.
// Ctrl-C stops and removes everything.
//
// It uses the binaries of `make build`. `make demo` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "`folder` with hostless, hostlessd and chat")
	check := flag.Bool("check", false, "run the printed commands, then exit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *bin, *check); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run starts everything, prints what to try, waits for ctx and stops everything.
func run(ctx context.Context, bin string, check bool) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp("/tmp", "hostless-demo-") // short, because it is part of a socket's path
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	s := &stage{bin: bin, home: home}
	defer s.down()
	up, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.up(up); err != nil {
		return err
	}
	if err := s.try(up); err != nil {
		return err
	}
	s.show(os.Stdout)
	if check {
		return nil
	}
	parent := os.Getppid() // `go run` and `make` may exit without a signal to us
	orphan := time.NewTicker(time.Second)
	defer orphan.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Println("\nCleaning up.")
			return nil
		case <-s.daemon.ended:
			return fmt.Errorf("hostlessd exited: %s", s.daemon.lastLine())
		case <-s.app.ended:
			return fmt.Errorf("the chat app exited: %s", s.app.lastLine())
		case <-orphan.C:
			if os.Getppid() != parent {
				return nil
			}
		}
	}
}
