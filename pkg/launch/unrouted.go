//go:build unix

package launch

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/hostless/hostless/pkg/launch/proctree"
)

// runUnrouted runs a command that serves nothing, without name, port and token. It runs
// beside the apps of its project and ends with them.
func (r *run) runUnrouted(ctx context.Context) (code int, err error) {
	proctree.BecomeReaper()
	sig := catchSignals()
	defer sig.stop()
	set := newEnvironment(r.Environ)
	set.put("PATH", binPath(r.Dir, set.get("PATH")))
	file, code, err := lookPath(r.Args[0], r.Dir, set.get("PATH"))
	if err != nil {
		return code, err
	}
	tree, err := proctree.Start(r.Self, [3]*os.File{r.Stdin, r.Stdout, r.Stderr}, proctree.Command{
		Path: file, Args: r.Args, Env: set.list(), Dir: r.Dir, Label: r.Label,
	})
	switch {
	case errors.Is(err, syscall.ENOENT):
		return exitNotFound, startError(r.Args[0], err)
	case err != nil:
		return exitNotExecutable, startError(r.Args[0], err)
	}
	r.note("no route: it builds, or is configured to serve nothing")
	if r.started != nil {
		r.started(Running{Name: r.Name, PID: os.Getpid(), Log: r.log})
	}
	done := ctx.Done()
	for {
		select {
		case rep, ok := <-tree.Reports:
			if !ok {
				return code, nil
			}
			if rep.Kind == proctree.ReportExited {
				code = rep.Code
				tree.Clear(r.Grace)
			}
		case s := <-sig.ending:
			tree.End(s.(syscall.Signal), r.Grace)
		case s := <-sig.plain:
			if s != syscall.SIGTSTP {
				tree.Signal(s.(syscall.Signal))
			}
		case <-sig.cont:
			tree.Resume()
		case <-done:
			done = nil
			tree.End(syscall.SIGTERM, r.Grace)
		}
	}
}
