//go:build unix

package launch

import (
	"encoding/gob"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/procinfo"
)

// GuardArg is the first argument with which this program runs Guard instead of
// anything else. It is no command: only Run starts it.
const GuardArg = "__guard"

const (
	guardFD    = 3                      // the socket to the run
	lostGrace  = 500 * time.Millisecond // for a tree whose run was killed
	lookEvery  = 250 * time.Millisecond // at a tree that has no parent of ours
	killEvery  = 20 * time.Millisecond  // between rounds of KILL: a tree may fork meanwhile
	killRounds = 250                    // then what is left cannot be killed
	drainGrace = 2 * time.Second        // for a reader of the output, when the run was told to end
)

// order is a message from the run to its guard. It is encoded by gob: arguments,
// environment and paths are bytes, which JSON would take for UTF-8.
type order struct {
	Op     string // spawn, signal, resume, end, clear, tell
	Path   string
	Args   []string
	Env    []string
	Dir    string
	Front  bool   // make the child the terminal's foreground
	Label  string // begins each line of the output
	Signal int    // of signal, end and clear
	Grace  int64  // of end and clear, milliseconds before KILL
}

// The guard's orders and reports.
const (
	opSpawn  = "spawn"
	opSignal = "signal" // to the child's process group alone
	opResume = "resume" // CONT to the child's process group
	opEnd    = "end"    // the signal to the whole tree, then KILL
	opClear  = "clear"  // the same to what a command that has ended left behind
	opTell   = "tell"   // the output's last lines

	saidStarted = "started"
	saidFailed  = "failed"
	saidStopped = "stopped"
	saidExited  = "exited"
	saidLines   = "lines" // the answer to tell
	saidEmpty   = "empty" // nothing of the tree is left
)

// report is a message from the guard to its run.
type report struct {
	Said   string
	PID    int
	Errno  int
	Code   int // exit code, 128+n on a signal
	Signal int // that stopped or ended the child

	Log []string // of lines and empty: the output's last lines
}

// Guard is the process between a run and its child. It starts the child, passes
// signals on, and ends the whole tree when the run tells it to, or is no more:
// the run's death, a KILL included, closes their socket. It is the parent of
// the child and, on Linux, of every orphan below it, so nothing of the tree
// gets away. It gives the process's exit code.
//
// With a further word it is a run in the background, or one of several: see
// startWorker.
func Guard() int {
	if len(os.Args) > 2 && os.Args[2] == workerArg {
		return workerMain()
	}
	// The child dies with the thread that made it (PR_SET_PDEATHSIG), so this
	// goroutine keeps its thread to the end of the process.
	runtime.LockOSThread()
	syscall.CloseOnExec(guardFD)
	file := os.NewFile(guardFD, "run")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return 2 // not started by a run
	}
	defer conn.Close()
	becomeReaper()
	holdSignals()
	g := &guard{conn: conn, out: gob.NewEncoder(conn), orders: make(chan order), deaths: make(chan death)}
	go g.listen()
	first, ok := <-g.orders
	if !ok || first.Op != opSpawn {
		return 2
	}
	g.streams = openStreams(first.Label)
	err = g.spawn(first)
	g.streams.handedOver()
	if err != nil {
		errno := syscall.EINVAL
		errors.As(err, &errno)
		g.say(report{Said: saidFailed, Errno: int(errno)})
		return 1
	}
	g.say(report{Said: saidStarted, PID: g.child})
	go g.reap()
	g.attend()
	g.drain()
	g.say(report{Said: saidEmpty, Log: g.streams.last()})
	return 0
}

// holdSignals keeps signals sent to every process of a name from ending the
// guard before its tree. They are caught, not ignored: what is ignored stays so
// in the child. What the run was started with as ignored is left so.
func holdSignals() {
	drain := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2} {
		if s == syscall.SIGTTOU || !signal.Ignored(s) { // the run ignores TTOU for itself
			signal.Notify(drain, s)
		}
	}
}

type death struct {
	pid    int
	status syscall.WaitStatus
}

type guard struct {
	conn   net.Conn
	out    *gob.Encoder
	orders chan order // closed when the run is gone
	deaths chan death // closed when no child is left
	child  int        // its pid and process group

	streams *streams
	told    bool // to end the tree, whoever is still reading
}

// say tells the run; a run that is gone is noticed by listen.
func (g *guard) say(r report) { _ = g.out.Encode(r) }

func (g *guard) listen() {
	defer close(g.orders)
	in := gob.NewDecoder(g.conn)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return
		}
		g.orders <- o
	}
}

func (g *guard) spawn(o order) error {
	attr := &syscall.ProcAttr{Dir: o.Dir, Env: o.Env, Files: g.streams.files[:], Sys: childAttr()}
	attr.Sys.Setpgid = true
	if o.Front {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err == nil {
			defer tty.Close()
			attr.Sys.Foreground, attr.Sys.Ctty = true, int(tty.Fd())
		}
	}
	pid, err := syscall.ForkExec(o.Path, o.Args, attr)
	if errors.Is(err, syscall.ENOEXEC) { // a script without "#!": execvp(3)
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"/bin/sh", o.Path}, o.Args[1:]...), attr)
	}
	g.child = pid
	return err
}

// reap collects the child and the orphans that came to the guard.
func (g *guard) reap() {
	defer close(g.deaths)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil: // ECHILD
			return
		}
		g.deaths <- death{pid, status}
	}
}

// attend runs until the tree is gone, or cannot be ended.
func (g *guard) attend() {
	var deadline <-chan time.Time // of the grace
	var round <-chan time.Time    // of killing
	rounds := 0
	orders, deaths := g.orders, g.deaths
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				orders = nil
				g.told = true
				g.signalTree(syscall.SIGTERM)
				deadline = time.After(lostGrace)
				continue
			}
			switch o.Op {
			case opSignal:
				_ = syscall.Kill(-g.child, syscall.Signal(o.Signal))
			case opTell:
				g.say(report{Said: saidLines, Log: g.streams.last()})
			case opResume:
				_ = syscall.Kill(-g.child, syscall.SIGCONT)
			case opEnd, opClear:
				g.told = g.told || o.Op == opEnd
				g.signalTree(syscall.Signal(o.Signal))
				if deadline == nil {
					deadline = time.After(time.Duration(o.Grace) * time.Millisecond)
				}
			}
		case d, ok := <-deaths:
			if !ok {
				if len(g.tree()) == 0 {
					return
				}
				// No parent of theirs, where there is no subreaper: look again.
				deaths = nil
				if round == nil {
					round = time.After(lookEvery)
				}
				continue
			}
			g.tell(d)
		case <-deadline:
			round, deadline = time.After(0), nil
			rounds = 1
		case <-round:
			tree := g.tree()
			if deaths == nil && len(tree) == 0 {
				return
			}
			if rounds == 0 {
				round = time.After(lookEvery)
				continue
			}
			for _, p := range tree {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
			if rounds++; rounds > killRounds {
				return
			}
			round = time.After(killEvery)
		}
	}
}

// tell reports what became of the child; orphans are nobody's business.
func (g *guard) tell(d death) {
	if d.pid != g.child {
		return
	}
	switch {
	case d.status.Stopped():
		g.say(report{Said: saidStopped, Signal: int(d.status.StopSignal())})
	case d.status.Signaled():
		g.say(report{Said: saidExited, Code: exitSignal + int(d.status.Signal()), Signal: int(d.status.Signal())})
	case d.status.Exited():
		g.say(report{Said: saidExited, Code: d.status.ExitStatus()})
	}
}

// drain waits until all that the tree wrote has been passed on. Only a reader
// that takes its time holds that up, as it would have held up the command;
// whoever ends the run does not wait for it.
func (g *guard) drain() {
	g.streams.finish()
	orders := g.orders
	for {
		var limit <-chan time.Time
		if g.told {
			limit = time.After(drainGrace)
		}
		select {
		case <-g.streams.over:
			return
		case <-limit:
			return
		case o, ok := <-orders:
			if !ok {
				orders = nil
			}
			g.told = g.told || !ok || o.Op == opEnd
		}
	}
}

// signalTree signals the child's process group once, then whoever left it, and
// wakes what is stopped so that it can act on it.
func (g *guard) signalTree(sig syscall.Signal) {
	tree := g.tree()
	_ = syscall.Kill(-g.child, sig)
	_ = syscall.Kill(-g.child, syscall.SIGCONT)
	for _, p := range tree {
		if p.PGRP != g.child {
			_ = syscall.Kill(p.PID, sig)
			_ = syscall.Kill(p.PID, syscall.SIGCONT)
		}
	}
}

// tree is what lives of the child's tree: what is below the guard and, where
// orphans go elsewhere, what is left in the child's process group.
func (g *guard) tree() []procinfo.Process {
	all := procinfo.All()
	tree := procinfo.Below(all, os.Getpid())
	have := map[int]bool{}
	for _, p := range tree {
		have[p.PID] = true
	}
	for _, p := range all {
		if p.PGRP == g.child && !p.Dead && !have[p.PID] {
			tree = append(tree, p)
		}
	}
	return tree
}

// errno is what a failed report means.
func (r report) errno() error {
	if r.Errno == 0 {
		return io.ErrUnexpectedEOF
	}
	return syscall.Errno(r.Errno)
}
