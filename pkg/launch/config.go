// Package launch owns `hostless run`: it builds the command's environment, holds the
// route's lease, starts the command and supervises it until it ends, gives it the
// terminal, and watches which port it opens.
//
// It leaves the route table and the proxying to package apps, the control protocol to
// package control, and the parsing of the command line to cmd/hostless.
//
// Package detect derives names, apps and flags from files. Package proctree owns the
// process tree. This package combines both with the daemon's lease.
package launch

import (
	"context"
	"os"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch/detect"
)

// GuardArg is the first argument that makes this program run Guard. It is not a command
// for users: only Run starts it.
const GuardArg = "__guard"

// Config describes one run. Args, Environ, Dir, Paths, Client and the three files are
// required; for all other fields the zero value is the default.
type Config struct {
	// Args are the command and its arguments, without a leading "--". If there are none,
	// Script of the package in Dir is run. {PORT}, {HOST} and {URL} in an argument are
	// replaced.
	Args    []string
	Script  string // "" is the project's script, else dev
	PortEnv string // another variable to set to the port

	Name   string // an explicit name; "" infers one
	Prefix detect.Prefix
	// Worktree is the label before the name; "" uses the worktree's branch.
	Worktree string
	// Unrouted runs the command without name, port and token, for one that serves nothing.
	Unrouted bool
	AppPort  int  // the app's port; 0 takes HOSTLESS_APP_PORT, else the daemon reserves one
	Force    bool // take the name over from its current owner

	Providers []string // the scope of the child's token; empty is everything
	Models    []string
	RateLimit int           // requests per hour, 0 is unlimited
	TTL       time.Duration // of the token, 0 is the daemon's default
	NoToken   bool          // mint no token
	NoAIEnv   bool          // do not change the SDK variables
	Model     string        // the model, of any provider, for a command that is a coding agent; "" is the agent's own

	// Share lists the ways in which others reach the app while it runs (share.Ways).
	Share []string

	// Detach starts the run in a new session with its output in LogFile, and returns
	// when the command is running.
	Detach bool
	// Lazy starts the command with the first request and ends it after IdleTimeout
	// without a connection. An IdleTimeout of 0 is 15 minutes.
	Lazy        bool
	IdleTimeout time.Duration
	// First is true for one of several apps that run together: it prints the notes that
	// concern all of them.
	First bool
	// Label, if not "", is put before each line of the command's output, which then is
	// not a terminal.
	Label string

	Environ []string        `json:"-"` // the environment, as os.Environ gives it
	Dir     string          // the working directory, absolute
	Paths   config.Paths    // where the daemon keeps its files
	Client  *control.Client `json:"-"`
	// Autostart, if not nil, is called once after the command line has been checked and
	// before the daemon is needed. It may start one.
	Autostart func(context.Context) `json:"-"`

	Stdin, Stdout, Stderr *os.File `json:"-"`

	// Grace is how long the process tree has to end before it is killed; 0 is 5 s.
	Grace time.Duration
	// Self is the command line that runs Guard in a new process of this program; nil is
	// this executable with GuardArg.
	Self []string
}

const (
	defaultGrace = 5 * time.Second
	defaultIdle  = 15 * time.Minute
)

// defaults sets the defaults of zero fields.
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

// LogFile returns the file with the output of the detached run of that name.
func LogFile(paths config.Paths, name string) string { return paths.AppLog(name) }
