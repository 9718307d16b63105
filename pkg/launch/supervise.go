//go:build unix

package launch

import (
	"context"
	"fmt"
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
	// daemonizeGrace is how long a command that ended well may take until what it
	// left behind listens.
	daemonizeGrace = 2 * time.Second
	// leftoverInterval is how often the leftovers of a command are looked at.
	leftoverInterval = 200 * time.Millisecond
	// logInterval is how often the page of an app that does not listen yet gets
	// its last lines.
	logInterval = time.Second
)

// announceDelay is how long after the app began to listen its URL is printed again:
// dev servers clear the screen and print their own address first.
const announceDelay = 700 * time.Millisecond

// signals are what this process passes on or acts on.
type signals struct {
	ending chan os.Signal // end the tree
	plain  chan os.Signal // for the command alone
	cont   chan os.Signal // this process was continued
	pipe   chan os.Signal // never read: a note on a closed stderr ends no app
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

// outcome is how a turn of the command ended.
type outcome int

const (
	ended   outcome = iota
	restart         // somebody wants it to start again
	rest            // a lazy one that is not used
)

// supervise starts the command and stays until its tree has ended.
func (r *run) supervise(ctx context.Context, tty *terminal, sig *signals) (next outcome, code int, err error) {
	front := tty.mine() && tty.alone()
	tree, code, err := r.start(front)
	if err != nil {
		return ended, code, err
	}
	r.wanted = false
	r.reportStarted()
	r.lease.update(control.LeaseUpdate{PID: tree.PID(), State: control.StateStarting})
	watchCtx, endWatch := context.WithCancel(ctx)
	defer endWatch()
	portChanges := make(chan portChange, 4)
	go watcher{
		tree: tree.Processes, look: procinfo.Listeners, mark: procinfo.ListenMark, outside: procinfo.Listening,
		ranker: ranker{planned: r.lease.registered().TargetPort, portOf: givenPort, answers: answersOf()},
	}.run(watchCtx, func(s portChange) {
		select {
		case portChanges <- s:
		case <-watchCtx.Done():
		}
	})
	a := supervisor{run: r, tree: tree, tty: tty, front: front, sig: sig, done: ctx.Done(), logTick: time.After(logInterval), socketHint: time.After(socketHintDelay)}
	if r.Lazy {
		a.unused = watchUse(watchCtx, r.IdleTimeout)
	}
	if !r.nameChecked {
		r.nameChecked = true
		notes := make(chan string, 1)
		go func() { notes <- r.checkName(ctx, hostOf(r.lease.registered())) }()
		a.nameNote = notes
	}
	for {
		if finished := a.step(portChanges); finished {
			r.commands.setIdle()
			r.last = tree.LastLines()
			return a.next, a.code, nil
		}
	}
}

// supervisor is a child and what has become of it so far.
type supervisor struct {
	*run
	tree  *proctree.Tree
	tty   *terminal
	front bool // the command has the terminal whenever this process's group would
	sig   *signals
	done  <-chan struct{}

	next        outcome
	unused      *use // of a lazy run, else nil
	code        int
	exited      bool
	ending      bool             // the end of the tree was requested
	announce    <-chan time.Time // the URL is printed again, now that the app listens
	announced   bool
	listens     bool
	listensFrom time.Time        // when it last began to
	pageHint    <-chan time.Time // look for a page on another port
	socketHint  <-chan time.Time // look for a Unix socket
	nameNote    <-chan string    // what is wrong with the app's name; "" is nothing
	nameText    string           // that note, until it is printed
	leftServing bool             // it was reported that what is left listens
	leftover    <-chan time.Time // look at what the command left behind
	listenBy    time.Time        // until when it may begin to listen
	logTick     <-chan time.Time // what it prints while it does not listen; nil while it does
	sentLog     []string
	linesAsked  bool // the daemon waits for the last lines
}

// step acts on one thing that happened; it reports whether the tree is gone.
func (a *supervisor) step(portChanges <-chan portChange) (finished bool) {
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
	case s := <-portChanges:
		a.onPortChange(s)
	case <-a.logTick:
		a.logTick = time.After(logInterval)
		a.tree.RequestLines()
	case <-a.announce:
		a.announce, a.announced = nil, true
		if !a.ending {
			a.note("%s is ready", a.lease.registered().URL)
			a.tellName()
			a.pageHint = time.After(pageHintDelay)
		}
	case <-a.pageHint:
		a.pageHint = nil
		a.hintAtPage(a.lease.registered().TargetPort)
	case <-a.socketHint:
		a.socketHint = nil
		a.hintAtSocket()
	case note := <-a.nameNote:
		a.nameNote, a.nameText = nil, note
		a.tellName()
	case <-a.leftover:
		a.lookAtLeftover()
	case <-a.unused.over():
		a.unused = nil // it ends once
		a.goToRest()
	case o := <-a.commands.received():
		a.onCommand(o)
	}
	return false
}

// goToRest ends the app until it is asked for again. Requests that come
// meanwhile are held, not sent to it.
func (a *supervisor) goToRest() {
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
func (a *supervisor) onCommand(what string) {
	switch what {
	case commandRestart:
		a.next = restart
	case commandStop:
		a.next = ended
	}
	a.end(syscall.SIGTERM)
}

func (a *supervisor) onReport(rep proctree.Report) {
	switch rep.Kind {
	case proctree.ReportStopped:
		a.stopped(syscall.Signal(rep.Signal))
	case proctree.ReportLines:
		if a.linesAsked || a.logTick != nil && !slices.Equal(rep.Log, a.sentLog) {
			a.linesAsked = false
			a.sentLog = rep.Log
			a.lease.update(control.LeaseUpdate{Log: rep.Log})
		}
	case proctree.ReportExited:
		a.logTick = nil
		a.code, a.exited = rep.Code, true
		a.tty.takeBack(a.tree.PID())
		interrupted := rep.Signal != 0 || rep.Code > proctree.ExitSignal
		if interrupted && !a.ending {
			a.clear() // Ctrl-C was meant for all of it
			return
		}
		if rep.Code != 0 && !a.ending {
			a.clear() // it failed: what is left of it is of no use
			return
		}
		if a.front && a.listens && time.Since(a.listensFrom) > daemonizeLimit && !a.ending {
			a.clear() // Ctrl-C as well: it served, and ended itself when it was asked to
			return
		}
		a.listenBy = time.Now().Add(daemonizeGrace)
		a.leftover = time.After(0)
	}
}

// lookAtLeftover ends what a command left behind, unless that is a server: then
// the run goes on until it listens no more.
func (a *supervisor) lookAtLeftover() {
	tree := a.tree.Processes()
	switch {
	case a.ending || len(tree) == 0:
		a.leftover = nil // the guard tells the rest
	case len(procinfo.Listeners(tree)) > 0:
		if !a.leftServing {
			a.leftServing = true
			a.note("the command has ended, but a process that it started still listens: Ctrl-C or hostless stop %s ends it", a.Name)
		}
		a.listenBy = time.Now()
		a.leftover = time.After(leftoverInterval)
	case time.Now().Before(a.listenBy):
		a.leftover = time.After(leftoverInterval)
	default:
		a.clear()
	}
}

// clear ends what the command left behind.
func (a *supervisor) clear() {
	a.ending = true
	a.tree.Clear(a.Grace)
}

// end signals the whole tree to end, each time that it is called; the first
// time sets when it is killed.
func (a *supervisor) end(s syscall.Signal) {
	if a.exited && !a.ending && a.code == 0 && s != syscall.SIGTERM {
		a.code = proctree.ExitSignal + int(s) // the command itself ended long ago
	}
	a.ending, a.wanted = true, true
	a.tree.End(s, a.Grace)
}

func (a *supervisor) event(e control.LeaseEvent) {
	switch e.Event {
	case control.EventEvicted:
		a.note("another run took the name %s: ending this one", a.lease.registered().Hostname)
		a.next = ended
		a.end(syscall.SIGTERM)
	case control.EventLines:
		a.linesAsked = true
		a.tree.RequestLines()
	case control.EventStop:
		a.goToRest() // a run that is not lazy ends by it
	}
}

func (a *supervisor) onPortChange(s portChange) {
	if a.ending {
		return
	}
	if a.listens = s.port != 0; a.listens {
		a.listensFrom = time.Now()
	}
	if s.port == 0 {
		a.logTick = time.After(logInterval)
		a.lease.update(control.LeaseUpdate{State: control.StateStarting})
		a.commands.setIdle()
		return
	}
	if !s.unplanned && a.announce == nil && !a.announced {
		a.announce = time.After(announceDelay)
	}
	if s.unplanned {
		a.announced = true
		also := ""
		for _, port := range s.others {
			also += fmt.Sprintf(" (--app-port %d would lead to the other port that it opened)", port)
			break
		}
		a.note("the app does not listen on PORT but on %d: %s leads there%s", s.port, a.lease.registered().URL, also)
		a.tellName()
		if n := detect.DevPackages(detect.System(), a.Dir); n > 1 {
			a.note("%d packages of this workspace have a dev script: hostless run --all gives each a name", n)
		}
	}
	a.logTick, a.sentLog = nil, nil
	a.lease.update(control.LeaseUpdate{Port: s.port, State: control.StateListening})
	a.unused.on(s.port)
	now := a.running()
	now.Port = s.port
	a.commands.setListening(now)
}

// tellName prints what is wrong with the app's name, once, when the app is up: a
// command that is no server needs none.
func (a *supervisor) tellName() {
	if a.nameText != "" && a.announced && !a.ending {
		a.note("%s", a.nameText)
		a.nameText = ""
	}
}

// stopped follows the command into a stop, as a shell's other jobs do: the
// shell above sees this process's group stop, and later continues it.
func (a *supervisor) stopped(by syscall.Signal) {
	if a.tty == nil {
		return // only the process that stopped it could continue it
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
func (a *supervisor) resume() {
	if a.exited {
		return
	}
	if a.front && a.tty.mine() {
		a.tty.give(a.tree.PID())
	}
	a.tree.Resume()
}
