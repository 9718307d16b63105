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
	// daemonizeGrace is how long the processes that a successful command has left have to
	// listen.
	daemonizeGrace = 2 * time.Second
	// leftoverInterval is how often the processes that a command has left are polled.
	leftoverInterval = 200 * time.Millisecond
	// logInterval is how often the last lines of an app that does not listen yet are sent
	// for its page.
	logInterval = time.Second
)

// announceDelay is how long after the app has started to listen its URL is printed again,
// since dev servers first clear the screen and print their own address.
const announceDelay = 700 * time.Millisecond

// signals are the signals that this process forwards or acts on.
type signals struct {
	ending chan os.Signal // signals that end the tree
	plain  chan os.Signal // signals for the command only
	cont   chan os.Signal // SIGCONT: this process was continued
	pipe   chan os.Signal // SIGPIPE, never read: a note to a closed stderr must not end the app
}

// catchSignals starts to handle signals. A signal that the process was started to ignore
// (nohup) remains ignored, for the child too.
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

// outcome is what follows after the command has ended.
type outcome int

const (
	ended   outcome = iota // the run ends
	restart                // the command is started again
	rest                   // a lazy command waits for the next request
)

// supervise starts the command and returns when its tree has ended.
func (r *run) supervise(ctx context.Context, tty *terminal, sig *signals) (next outcome, code int, err error) {
	front := tty.mine() && tty.alone()
	tree, code, err := r.start(front)
	if err != nil {
		return ended, code, err
	}
	r.endRequested = false
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

// supervisor is the state of a started command.
type supervisor struct {
	*run
	tree  *proctree.Tree
	tty   *terminal
	front bool // the command is in the terminal's foreground whenever this process's group would be
	sig   *signals
	done  <-chan struct{}

	next        outcome
	unused      *use // set for a lazy run
	code        int
	exited      bool
	ending      bool             // the end of the tree was requested
	announce    <-chan time.Time // time to print the URL again
	announced   bool
	listens     bool
	listensFrom time.Time        // when it last started to listen
	pageHint    <-chan time.Time // time to look for a page on another port
	socketHint  <-chan time.Time // time to look for a Unix socket
	nameNote    <-chan string    // the result of checkName; "" is no note
	nameText    string           // the note until it is printed
	leftServing bool             // a note was printed that a process left by the command listens
	leftover    <-chan time.Time // time to check the processes that the command has left
	listenBy    time.Time        // when these must listen
	logTick     <-chan time.Time // time to send the last lines; nil while the app listens
	sentLog     []string
	linesAsked  bool // the daemon has requested the last lines
}

// step handles one event. It reports whether the tree has ended.
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
			a.noteName()
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
		a.noteName()
	case <-a.leftover:
		a.checkLeftover()
	case <-a.unused.over():
		a.unused = nil // end it only once
		a.goToRest()
	case o := <-a.commands.received():
		a.onCommand(o)
	}
	return false
}

// goToRest ends the app until it is requested again. Requests that arrive while it ends
// are held.
func (a *supervisor) goToRest() {
	if a.ending {
		return // the end was already requested
	}
	a.next = rest
	if a.Lazy {
		a.lease.update(control.LeaseUpdate{State: control.StateStarting})
	}
	a.end(syscall.SIGTERM)
}

// onCommand handles a command from the run's command socket.
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
			a.clear() // Ctrl-C was meant for the whole tree
			return
		}
		if rep.Code != 0 && !a.ending {
			a.clear() // it failed, so end the rest of it
			return
		}
		if a.front && a.listens && time.Since(a.listensFrom) > daemonizeLimit && !a.ending {
			a.clear() // it had served and ended after a Ctrl-C, with code 0
			return
		}
		a.listenBy = time.Now().Add(daemonizeGrace)
		a.leftover = time.After(0)
	}
}

// checkLeftover ends the processes that a command has left, unless one of them is a
// server: then the run continues while it listens.
func (a *supervisor) checkLeftover() {
	tree := a.tree.Processes()
	switch {
	case a.ending || len(tree) == 0:
		a.leftover = nil // the guard reports the end
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

// clear ends the processes that the command has left.
func (a *supervisor) clear() {
	a.ending = true
	a.tree.Clear(a.Grace)
}

// end signals the whole tree at each call. The first call sets the deadline after which
// it is killed.
func (a *supervisor) end(s syscall.Signal) {
	if a.exited && !a.ending && a.code == 0 && s != syscall.SIGTERM {
		a.code = proctree.ExitSignal + int(s) // the command itself ended earlier
	}
	a.ending, a.endRequested = true, true
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
		a.goToRest() // ends a run that is not lazy
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
			also += fmt.Sprintf(" (it also opened another port: --app-port %d would use that)", port)
			break
		}
		a.note("the app does not listen on PORT but on %d: %s leads there%s", s.port, a.lease.registered().URL, also)
		a.noteName()
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

// noteName prints the note about the app's name once the app is ready, since only a
// server needs its name.
func (a *supervisor) noteName() {
	if a.nameText != "" && a.announced && !a.ending {
		a.note("%s", a.nameText)
		a.nameText = ""
	}
}

// stopped stops this process's group after the command was stopped, so that the shell sees
// its job stop, and can continue it later.
func (a *supervisor) stopped(by syscall.Signal) {
	if a.tty == nil {
		return // without a terminal only the process that stopped it can continue it
	}
	asked := by == syscall.SIGTTIN || by == syscall.SIGTTOU
	// The run was started or continued in the background and has since been brought to the
	// foreground: this process can give the terminal to the command, or already has.
	a.front = a.front || asked
	if asked && (a.tty.mine() || a.tty.foreground() == a.tree.PID()) {
		a.resume()
		return
	}
	a.tty.takeBack(a.tree.PID())
	a.tty.stopSelf(a.sig.cont, a.front)
	a.resume()
}

// resume continues the command. If this process's group has the terminal, the command's
// gets it.
func (a *supervisor) resume() {
	if a.exited {
		return
	}
	if a.front && a.tty.mine() {
		a.tty.give(a.tree.PID())
	}
	a.tree.Resume()
}
