// Package launch owns `hostless run`: it makes the command's environment, holds the
// route's lease, starts the command and supervises it to its end, keeps the
// terminal the command's, and watches which port the command really opens.
//
// It leaves the route table and the proxying to package apps, the wire to
// package control, and the parsing of the command line to cmd/hostless.
//
// What is concluded from files alone is package detect's; the process tree is
// package proctree's. This package puts them together with the daemon's lease.
package launch

import (
	"context"
	"os"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch/detect"
)

// GuardArg is the first argument with which this program runs Guard instead of
// anything else. It is no command: only Run starts it.
const GuardArg = "__guard"

// Config is one run. Args, Environ, Dir, Paths, Client and the three files are
// required; the zero value of the rest is the default.
type Config struct {
	// Args are the command and its arguments, without a leading "--"; where there are
	// none, Script of the package in Dir is run. {PORT}, {HOST} and {URL} in an
	// argument are replaced.
	Args    []string
	Script  string // "" is the project's, else dev
	PortEnv string // a variable that gets the port too

	Name   string // an explicit name, "" infers one
	Prefix detect.Prefix
	// Worktree, where not "", is the sub-label before the name, instead of the
	// worktree's branch.
	Worktree string
	// Unrouted runs the command without name, port and token: it serves nothing.
	Unrouted bool
	AppPort  int  // the app's port; 0 takes HOSTLESS_APP_PORT, else the daemon reserves one
	Force    bool // take the name from its owner

	Providers []string // what the child's token may use; empty is everything
	Models    []string
	RateLimit int           // requests per hour, 0 is unlimited
	TTL       time.Duration // of the token, 0 is the daemon's default
	NoToken   bool          // mint no token
	NoAIEnv   bool          // leave the SDK variables alone
	Model     string        // what the coding agent that the command is uses, of any provider; "" is the agent's own

	// Detach starts the run in a session of its own, its output in LogFile, and
	// returns as soon as the command runs.
	Detach bool
	// Lazy starts the command with the first request and ends it after
	// IdleTimeout without a connection; 0 is 15 minutes.
	Lazy        bool
	IdleTimeout time.Duration
	// First marks one of several apps that run side by side: it says what concerns all.
	First bool
	// Label, where not "", begins each line of the command's output, which then
	// is no terminal's.
	Label string

	Environ []string        `json:"-"` // the environment, as os.Environ gives it
	Dir     string          // the working directory, absolute
	Paths   config.Paths    // where the daemon keeps its files
	Client  *control.Client `json:"-"`
	// Autostart, where not nil, is called once before the daemon is needed, when
	// the command line has been found right: it may start one.
	Autostart func(context.Context) `json:"-"`

	Stdin, Stdout, Stderr *os.File `json:"-"`

	// Grace is how long the tree may take to end before it is killed; 0 is 5 s.
	Grace time.Duration
	// Self is the command line that runs Guard in a new process of this program;
	// nil is this executable with GuardArg.
	Self []string
}

const (
	defaultGrace = 5 * time.Second
	defaultIdle  = 15 * time.Minute
)

// defaults fills in what was left zero.
func (c *Config) defaults() error {
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdle
	}
	if c.Self == nil {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		c.Self = []string{exe, GuardArg}
	}
	return nil
}

// LogFile is where the output of a detached run of that name goes.
func LogFile(paths config.Paths, name string) string { return paths.AppLog(name) }
