//go:build unix

package launch

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/hostless/hostless/pkg/launch/proctree"
	"github.com/hostless/hostless/pkg/procinfo"
)

const (
	// daemonizing is how long a command that ended well may take until what it
	// left behind listens.
	daemonizing = 2 * time.Second
	// lookAfter is how often the leftovers of a command are looked at.
	lookAfter = 200 * time.Millisecond
	// tellEvery is how often the page of an app that does not listen yet gets
	// its last lines.
	tellEvery = time.Second
)

// signals are what this process passes on or acts on.
type signals struct {
	ending chan os.Signal // end the tree
	plain  chan os.Signal // for the command alone
	cont   chan os.Signal // this process was continued
	pipe   chan os.Signal // never read: a note that nobody reads ends no app
}

// catchSignals takes the signals over. One that the process was started to
// ignore (nohup) stays ignored, for the child too.
func catchSignals() *signals {
	s := &signals{ending: make(chan os.Signal, 8), plain: make(chan os.Signal, 8), cont: make(chan os.Signal, 8), pipe: make(chan os.Signal, 1)}
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if !signal.Ignored(sig) {
			signal.Notify(s.ending, sig)
		}
	}
	signal.Notify(s.plain, syscall.SIGTSTP, syscall.SIGUSR1, syscall.SIGUSR2)
	signal.Notify(s.cont, syscall.SIGCONT)
	if !signal.Ignored(syscall.SIGPIPE) {
		signal.Notify(s.pipe, syscall.SIGPIPE)
	}
	return s
}

func (s *signals) stop() {
	signal.Stop(s.ending)
	signal.Stop(s.plain)
	signal.Stop(s.cont)
	signal.Stop(s.pipe)
}

// turn is how a turn of the command ended.
type turn int

const (
	ended   turn = iota
	restart      // somebody wants it to start again
	rest         // a lazy one that nobody uses
)

// attend starts the child and stays until its tree has ended.
func (r *run) attend(ctx context.Context, tty *terminal, sig *signals) (next turn, code int, err error) {
	front := tty.mine() && tty.alone()
	tree, code, err := r.start(front)
	if err != nil {
		return ended, code, err
	}
	r.begun()
	r.lease.update(control.LeaseUpdate{PID: tree.PID(), State: control.StateStarting})
	watchCtx, endWatch := context.WithCancel(ctx)
	defer endWatch()
	sightings := make(chan sighting, 4)
	go watcher{planned: r.lease.registered().TargetPort, tree: tree.Processes, look: procinfo.Listeners, mark: procinfo.ListenMark}.run(watchCtx, func(s sighting) {
		select {
		case sightings <- s:
		case <-watchCtx.Done():
		}
	})
	a := attendance{run: r, tree: tree, tty: tty, front: front, sig: sig, done: ctx.Done(), tellNow: time.After(tellEvery)}
	if r.Lazy {
		a.unused = watchUse(watchCtx, r.IdleTimeout)
	}
	for {
		if finished := a.step(sightings); finished {
			r.desk.rests()
			r.last = tree.LastLines()
			return a.next, a.code, nil
		}
	}
}

// attendance is a child and what has become of it so far.
type attendance struct {
	*run
	tree  *proctree.Tree
	tty   *terminal
	front bool // the command has the terminal whenever this process's group would
	sig   *signals
	done  <-chan struct{}

	next     turn
	unused   *use // of a lazy run, else nil
	code     int
	exited   bool
	ending   bool             // the tree was told to end
	leftover <-chan time.Time // look at what the command left behind
	patience time.Time        // until when it may begin to listen
	tellNow  <-chan time.Time // what it prints while it does not listen; nil while it does
	told     []string
}

// step acts on one thing that happened; it reports whether the tree is gone.
func (a *attendance) step(sightings <-chan sighting) (finished bool) {
	select {
	case rep, ok := <-a.tree.Reports:
		if !ok {
			return true
		}
		a.onReport(rep)
	case s := <-a.sig.ending:
		a.next = ended
		a.end(s.(syscall.Signal))
	case s := <-a.sig.plain:
		a.tree.Signal(s.(syscall.Signal))
	case <-a.sig.cont:
		a.resume()
	case <-a.done:
		a.done, a.next = nil, ended
		a.end(syscall.SIGTERM)
	case e := <-a.lease.events:
		a.event(e)
	case s := <-sightings:
		a.sighted(s)
	case <-a.tellNow:
		a.tellNow = time.After(tellEvery)
		a.tree.RequestLines()
	case <-a.leftover:
		a.lookAtLeftover()
	case <-a.unused.over():
		a.unused = nil // it is said once
		a.goToRest()
	case o := <-a.desk.orders():
		a.ordered(o)
	}
	return false
}

// goToRest ends the app until it is asked for again. Requests that come
// meanwhile are held, not sent to it.
func (a *attendance) goToRest() {
	if a.ending {
		return // somebody wants more than that
	}
	a.next = rest
	if a.Lazy {
		a.lease.update(control.LeaseUpdate{State: control.StateStarting})
	}
	a.end(syscall.SIGTERM)
}

// ordered does what a person asked for by the run's name.
func (a *attendance) ordered(what string) {
	switch what {
	case deskRestart:
		a.next = restart
	case deskStop:
		a.next = ended
	}
	a.end(syscall.SIGTERM)
}

func (a *attendance) onReport(rep proctree.Report) {
	switch rep.Kind {
	case proctree.ReportStopped:
		a.stopped(syscall.Signal(rep.Signal))
	case proctree.ReportLines:
		if a.tellNow != nil && !slices.Equal(rep.Log, a.told) {
			a.told = rep.Log
			a.lease.update(control.LeaseUpdate{Log: rep.Log})
		}
	case proctree.ReportExited:
		a.tellNow = nil
		a.code, a.exited = rep.Code, true
		a.tty.takeBack(a.tree.PID())
		interrupted := rep.Signal != 0 || rep.Code > proctree.ExitSignal
		if interrupted && !a.ending {
			a.clear() // Ctrl-C was meant for all of it
			return
		}
		if rep.Code != 0 && !a.ending {
			a.clear() // it failed: what is left of it serves nobody
			return
		}
		a.patience = time.Now().Add(daemonizing)
		a.leftover = time.After(0)
	}
}

// lookAtLeftover ends what a command left behind, unless that is a server: then
// the run goes on until it listens no more.
func (a *attendance) lookAtLeftover() {
	tree := a.tree.Processes()
	switch {
	case a.ending || len(tree) == 0:
		a.leftover = nil // the guard tells the rest
	case len(procinfo.Listeners(tree)) > 0:
		a.patience = time.Now()
		a.leftover = time.After(lookAfter)
	case time.Now().Before(a.patience):
		a.leftover = time.After(lookAfter)
	default:
		a.clear()
	}
}

// clear ends what the command left behind.
func (a *attendance) clear() {
	a.ending = true
	a.tree.Clear(a.Grace)
}

// end tells the whole tree to end. Told again, it is told again; the first
// time sets when it is killed.
func (a *attendance) end(s syscall.Signal) {
	if a.exited && !a.ending && a.code == 0 && s != syscall.SIGTERM {
		a.code = proctree.ExitSignal + int(s) // the command itself ended long ago
	}
	a.ending = true
	a.tree.End(s, a.Grace)
}

func (a *attendance) event(e control.LeaseEvent) {
	switch e.Event {
	case control.EventEvicted:
		a.note("another run took the name %s: ending this one", a.lease.registered().Hostname)
		a.next = ended
		a.end(syscall.SIGTERM)
	case control.EventStop:
		a.goToRest() // a run that is not lazy ends by it
	}
}

func (a *attendance) sighted(s sighting) {
	if a.ending {
		return
	}
	if s.port == 0 {
		a.tellNow = time.After(tellEvery)
		a.lease.update(control.LeaseUpdate{State: control.StateStarting})
		a.desk.rests()
		return
	}
	if s.unplanned {
		a.note("the app does not listen on PORT but on %d: %s leads there", s.port, a.lease.registered().URL)
		if n := detect.DevPackages(detect.System(), a.Dir); n > 1 {
			a.note("%d packages of this workspace have a dev script: hostless run --all gives each a name", n)
		}
	}
	a.tellNow, a.told = nil, nil
	a.lease.update(control.LeaseUpdate{Port: s.port, State: control.StateListening})
	a.unused.on(s.port)
	told := a.running()
	told.Port = s.port
	a.desk.listens(told)
}

// stopped follows the command into a stop, as a shell's other jobs do: the
// shell above sees this process's group stop, and later continues it.
func (a *attendance) stopped(by syscall.Signal) {
	if a.tty == nil {
		return // nobody to continue it but who stopped it
	}
	asked := by == syscall.SIGTTIN || by == syscall.SIGTTOU
	// Started or continued in the background and since brought forward: the
	// terminal is ours to give, or already the command's.
	a.front = a.front || asked
	if asked && (a.tty.mine() || a.tty.foreground() == a.tree.PID()) {
		a.resume()
		return
	}
	a.tty.takeBack(a.tree.PID())
	a.tty.stopSelf(a.sig.cont, a.front)
	a.resume()
}

// resume gives the terminal to the command, where this process's group has it,
// and continues it.
func (a *attendance) resume() {
	if a.exited {
		return
	}
	if a.front && a.tty.mine() {
		a.tty.give(a.tree.PID())
	}
	a.tree.Resume()
}
