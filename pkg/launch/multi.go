//go:build unix

package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/detect"
)

// RunAll runs all apps of the project in c.Dir concurrently until all have ended. Each app
// has its own name, which labels its output lines. c.Args, c.Name and c.AppPort are not
// used. It returns the first exit code that is not 0. With c.Detach each app runs in the
// background.
//
// HUP, INT, QUIT and TERM end all of them, and so does the death of this process.
func RunAll(ctx context.Context, c Config) (code int, err error) {
	if err := c.defaults(); err != nil {
		return failed(err)
	}
	if getenv(c.Environ, "HOSTLESS") == "0" {
		return failed(fault.New(fault.Usage, "HOSTLESS=0 runs one command without Hostless; it cannot run several apps"))
	}
	apps, err := detect.Apps(detect.System(), c.Dir, getenv(c.Environ, "HOME"), c.Prefix)
	if err != nil {
		return failed(err)
	}
	if len(apps) == 0 {
		return failed(&fault.Error{Kind: fault.Usage, Message: "no apps were found: hostless.json defines none, and no package of a workspace has a dev script", Next: "hostless run NAME -- CMD…"})
	}
	runs := make([]*run, len(apps))
	labels := makeLabels(apps, c)
	for i, app := range apps {
		one := c
		one.Name, one.Prefix, one.Args, one.Dir, one.Label = app.Name, detect.PrefixNever, app.Command, app.Dir, labels[i]
		one.Lazy, one.First = c.Lazy || app.Lazy, i == 0
		one.AppPort, one.Unrouted = app.Port, app.Builds
		if c.Detach {
			one.Label = ""
		}
		runs[i] = &run{Config: one}
		if err := runs[i].prepare(); err != nil {
			return failed(err)
		}
		runs[i].AppPort = runs[i].planned
		// Check the commands before any app takes a name.
		if _, code, err := lookPath(runs[i].Args[0], app.Dir, binPath(app.Dir, getenv(c.Environ, "PATH"))); err != nil {
			return code, err
		}
	}
	if code, err := c.runDependencies(ctx, apps); code != 0 || err != nil {
		return code, err
	}
	c.needDaemon(ctx)
	if _, err := daemonStatus(ctx, c.Client); err != nil {
		return failed(err)
	}
	if c.Detach {
		for _, r := range runs {
			if got, err := r.detach(ctx); err != nil && code == 0 {
				code = got
				r.note("%s: %v", r.Name, err)
			}
		}
		return code, nil
	}
	return runTogether(ctx, c, runs)
}

// runDependencies has turbo run what the apps' scripts depend on, one after the other.
func (c Config) runDependencies(ctx context.Context, apps []detect.App) (code int, err error) {
	commands := detect.TurboDependencies(detect.System(), c.Dir, apps)
	if len(commands) == 0 {
		return 0, nil
	}
	set := newEnvironment(c.Environ)
	set.put("PATH", binPath(c.Dir, set.get("PATH")))
	turbo, _, err := lookPath("turbo", c.Dir, set.get("PATH"))
	if err != nil {
		fmt.Fprintf(c.Stderr, "hostless: turbo is not installed: the tasks that the apps' scripts depend on in turbo.json are not run (\"turbo\": false in hostless.json accepts this)\n")
		return 0, nil
	}
	for _, args := range commands {
		fmt.Fprintf(c.Stderr, "hostless: turbo %s\n", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, turbo, args...)
		cmd.Dir, cmd.Env = c.Dir, set.list()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
		var failed *exec.ExitError
		if err := cmd.Run(); errors.As(err, &failed) && failed.ExitCode() > 0 {
			return failed.ExitCode(), nil
		} else if err != nil {
			return 1, startError("turbo", err)
		}
	}
	return 0, nil
}

// runTogether runs the workers until all have ended.
func runTogether(ctx context.Context, c Config, runs []*run) (code int, err error) {
	sig := catchSignals()
	defer sig.stop()
	var mu sync.Mutex // of code and live
	live := map[*worker]bool{}
	var failures []string // the apps that failed, for the last note
	var ending atomic.Bool
	var all sync.WaitGroup
	for _, r := range runs {
		one := r.Config
		if term.IsTerminal(int(c.Stdout.Fd())) && getenv(c.Environ, "NO_COLOR") == "" && getenv(c.Environ, "FORCE_COLOR") == "" {
			one.Environ = append(c.Environ[:len(c.Environ):len(c.Environ)], "FORCE_COLOR=1") // their output is a pipe
		}
		wk, err := startWorker(one, "", c.Stdout)
		if err != nil {
			r.note("%s: %v", r.Name, err)
			code = max(code, 1)
			continue
		}
		live[wk] = true
		all.Go(func() {
			_, got, err := wk.awaitStart()
			if err == nil {
				var rep workerReport
				if wk.in.Decode(&rep) == nil {
					got = rep.Code
				}
				if !ending.Load() {
					r.note("ended with exit code %d", got)
				}
			} else {
				r.note("%s: %v", r.Name, err)
			}
			_ = wk.cmd.Wait()
			wk.conn.Close()
			mu.Lock()
			defer mu.Unlock()
			delete(live, wk)
			if code == 0 {
				code = got
			}
			if got != 0 && !ending.Load() {
				failures = append(failures, fmt.Sprintf("%s (%d)", r.Name, got))
			}
		})
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		all.Wait()
	}()
	pass := func(s syscall.Signal) {
		mu.Lock()
		defer mu.Unlock()
		for wk := range live {
			_ = wk.cmd.Process.Signal(s)
		}
	}
	done := ctx.Done()
	for {
		var s syscall.Signal
		select {
		case <-over:
			sum := fmt.Sprintf("hostless: all %d apps have ended", len(runs))
			if len(failures) > 0 {
				sum += "; with an error: " + strings.Join(failures, ", ")
			}
			_, _ = fmt.Fprintln(c.Stderr, sum)
			return code, nil
		case got := <-sig.ending:
			s = got.(syscall.Signal)
			ending.Store(true)
		case got := <-sig.plain:
			if s = got.(syscall.Signal); s == syscall.SIGTSTP {
				pass(s)
				(&terminal{own: unix.Getpgrp()}).stopSelf(sig.cont, false)
				s = syscall.SIGCONT
			}
		case <-sig.cont:
			s = syscall.SIGCONT
		case <-done:
			done, s = nil, syscall.SIGTERM
			ending.Store(true)
		}
		pass(s)
	}
}

// makeLabels returns labels of equal width, coloured on a terminal.
func makeLabels(apps []detect.App, c Config) []string {
	colours := []int{36, 35, 33, 32, 34, 31}
	coloured := term.IsTerminal(int(c.Stdout.Fd())) && getenv(c.Environ, "NO_COLOR") == ""
	short := make([]string, len(apps))
	width := 0
	for i, app := range apps {
		short[i], _, _ = strings.Cut(app.Name, ".")
		width = max(width, len(short[i]))
	}
	labels := make([]string, len(apps))
	for i, name := range short {
		labels[i] = fmt.Sprintf("%-*s │ ", width, name)
		if coloured {
			labels[i] = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[i%len(colours)], labels[i])
		}
	}
	return labels
}

// labelled writes a note of the run, with its label if it has one.
func (r *run) labelled(text string) {
	out := r.Stderr
	if r.Label != "" {
		out = r.Stdout // in order with the app's own lines
	}
	_, _ = io.WriteString(out, r.Label+text)
}
