//go:build unix

package proctree

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

const (
	guardFD      = 3                      // the socket to the starter
	lostGrace    = 500 * time.Millisecond // before KILL, for a tree whose starter was killed
	pollInterval = 250 * time.Millisecond // for a tree of which this process is not the parent
	killEvery    = 20 * time.Millisecond  // between rounds of KILL, since a tree may fork meanwhile
	killRounds   = 250                    // after these, what is left cannot be killed
	drainGrace   = 2 * time.Second        // for a slow reader of the output, once the end was requested
)

// Command describes the command that the guard starts.
type Command struct {
	Path       string   // the program's file
	Args       []string // including the program's name
	Env        []string
	Dir        string
	Foreground bool   // make its process group the terminal's foreground group
	Label      string // put before each line of the output, which then is not a terminal; "" for none
}

// order is a message to the guard. It is encoded with gob, since arguments, environment
// and paths need not be UTF-8, which JSON requires.
type order struct {
	Op      string
	Command Command // for opSpawn
	Signal  int     // for opSignal, opEnd and opClear
	Grace   int64   // for opEnd and opClear: milliseconds before KILL
}

// The orders to the guard.
const (
	opSpawn  = "spawn"
	opSignal = "signal" // to the child's process group only
	opResume = "resume" // CONT, to the child's process group
	opEnd    = "end"    // the signal to the whole tree, then KILL
	opClear  = "clear"  // the same, for the processes that an ended command has left
	opLines  = "lines"  // report the output's last lines
)

// The guard's reports. The unexported ones are for this package.
const (
	ReportStopped = "stopped" // Signal has stopped the command
	ReportExited  = "exited"  // the command has exited with Code; other processes of its tree may be running
	ReportLines   = "lines"   // the response to Tree.RequestLines

	reportStarted = "started"
	reportFailed  = "failed"
	reportEmpty   = "empty" // no process of the tree is left
)

// ExitSignal is added to the number of the signal that ended a command, for its
// exit code (POSIX, XCU 2.8.2).
const ExitSignal = 128

// Report is a message from the guard.
type Report struct {
	Kind   string
	PID    int
	Errno  int      // the error if the command could not be started
	Code   int      // the exit code; ExitSignal+n after signal n
	Signal int      // the signal that stopped or ended the command, else 0
	Log    []string // the output's last lines
}

// Guard is the main function of the process between the one that called Start and the
// command. It starts the command, forwards signals, and ends the whole tree when it is
// ordered to or when its starter has ended: the death of the starter, even by KILL, closes
// their socket. It is the parent of the command and, on Linux, of every orphan of the
// tree, so that no process escapes.
//
// It returns the process's exit code, 2 if Start did not start this process.
func Guard() int {
	// The kernel kills the child when the thread that started it ends
	// (PR_SET_PDEATHSIG), so this goroutine keeps its thread until the process ends.
	runtime.LockOSThread()
	syscall.CloseOnExec(guardFD)
	file := os.NewFile(guardFD, "run")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return 2 // not started by Start
	}
	defer conn.Close()
	BecomeReaper()
	holdSignals()
	g := &guard{conn: conn, out: gob.NewEncoder(conn), orders: make(chan order), deaths: make(chan death)}
	go g.listen()
	first, ok := <-g.orders
	if !ok || first.Op != opSpawn {
		return 2
	}
	g.streams = openStreams(first.Command.Label)
	err = g.spawn(first.Command)
	g.streams.handedOver()
	if err != nil {
		errno := syscall.EINVAL
		errors.As(err, &errno)
		g.send(Report{Kind: reportFailed, Errno: int(errno)})
		return 1
	}
	g.send(Report{Kind: reportStarted, PID: g.child})
	go g.reap()
	g.serve()
	g.drain()
	g.send(Report{Kind: reportEmpty, Log: g.streams.last()})
	return 0
}

// holdSignals keeps signals that are sent to all processes of this program from ending
// the guard before its tree. It catches them, since the command would inherit an ignored
// signal. Signals that the starter already ignores are not changed.
func holdSignals() {
	drain := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2} {
		if s == syscall.SIGTTOU || !signal.Ignored(s) { // the starter ignores TTOU only for itself
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
	orders chan order // closed when the starter has ended
	deaths chan death // closed when no child is left
	child  int        // its pid and process group

	streams      *streams
	endRequested bool // the tree ends even if its output has not been read
}

// send sends a report to the starter. It ignores errors: listen notices that the starter
// has ended.
func (g *guard) send(r Report) { _ = g.out.Encode(r) }

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

func (g *guard) spawn(c Command) error {
	attr := &syscall.ProcAttr{Dir: c.Dir, Env: c.Env, Files: g.streams.files[:], Sys: childAttr()}
	attr.Sys.Setpgid = true
	if c.Foreground {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err == nil {
			defer tty.Close()
			attr.Sys.Foreground, attr.Sys.Ctty = true, int(tty.Fd())
		}
	}
	pid, err := syscall.ForkExec(c.Path, c.Args, attr)
	if errors.Is(err, syscall.ENOEXEC) { // a script without "#!": execvp(3)
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"/bin/sh", c.Path}, c.Args[1:]...), attr)
	}
	g.child = pid
	return err
}

// reap waits for the child and for the orphans that the guard has adopted.
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

// serve runs until the tree has ended or cannot be ended.
func (g *guard) serve() {
	var deadline <-chan time.Time // end of the grace period
	var round <-chan time.Time    // next round of KILL
	rounds := 0
	orders, deaths := g.orders, g.deaths
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				orders = nil
				g.endRequested = true
				g.signalTree(syscall.SIGTERM)
				deadline = time.After(lostGrace)
				continue
			}
			switch o.Op {
			case opSignal:
				_ = syscall.Kill(-g.child, syscall.Signal(o.Signal))
			case opLines:
				g.send(Report{Kind: ReportLines, Log: g.streams.last()})
			case opResume:
				_ = syscall.Kill(-g.child, syscall.SIGCONT)
			case opEnd, opClear:
				g.endRequested = g.endRequested || o.Op == opEnd
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
				// Without a subreaper this process is not their parent: poll.
				deaths = nil
				if round == nil {
					round = time.After(pollInterval)
				}
				continue
			}
			g.reportDeath(d)
		case <-deadline:
			round, deadline = time.After(0), nil
			rounds = 1
		case <-round:
			tree := g.tree()
			if deaths == nil && len(tree) == 0 {
				return
			}
			if rounds == 0 {
				round = time.After(pollInterval)
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

// reportDeath reports how the command has ended; orphans are not reported.
func (g *guard) reportDeath(d death) {
	if d.pid != g.child {
		return
	}
	switch {
	case d.status.Stopped():
		g.send(Report{Kind: ReportStopped, Signal: int(d.status.StopSignal())})
	case d.status.Signaled():
		g.send(Report{Kind: ReportExited, Code: ExitSignal + int(d.status.Signal()), Signal: int(d.status.Signal())})
	case d.status.Exited():
		g.send(Report{Kind: ReportExited, Code: d.status.ExitStatus()})
	}
}

// drain waits until the whole output of the tree has been forwarded. A slow reader delays
// that, as it would have delayed the command, but not once the end was requested.
func (g *guard) drain() {
	g.streams.finish()
	orders := g.orders
	for {
		var limit <-chan time.Time
		if g.endRequested {
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
			g.endRequested = g.endRequested || !ok || o.Op == opEnd
		}
	}
}

// signalTree signals the child's process group once, then the processes outside of it,
// and continues stopped processes so that they get the signal.
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

// tree returns the running processes of the child's tree: those below the guard and, where
// orphans go to another parent, those in the child's process group.
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

// errno returns the error of a report.
func (r Report) errno() error {
	if r.Errno == 0 {
		return io.ErrUnexpectedEOF
	}
	return syscall.Errno(r.Errno)
}
