// Package launch owns `hostless run`: it finds the app's name, port and flags,
// makes the child's environment, holds the route's lease, starts the command
// under a guard that ends the whole process tree, keeps the terminal the
// child's, and watches which port the child really opens.
//
// It leaves the route table and the proxying to package apps, the wire to
// package control, and the parsing of the command line to cmd/hostless.
//
// The names, the flag table and the environment are pure functions over what is
// handed in; everything that touches processes is in supervise*.go, guard*.go,
// tree_*.go and terminal.go.
package launch

import (
	"os"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
)

// Prefix says whether the name of a linked git worktree gets its branch as a
// sub-label.
type Prefix int

// The prefix modes.
const (
	PrefixAuto   Prefix = iota // inferred names only
	PrefixAlways               // explicit names too
	PrefixNever                // none
)

// Config is one run. Args, Environ, Dir, Paths, Client and the three files are
// required; the zero value of the rest is the default.
type Config struct {
	Args []string // the command and its arguments, without a leading "--"

	Name    string // an explicit name, "" infers one
	Prefix  Prefix
	AppPort int  // the app's port; 0 takes HOSTLESS_APP_PORT, else the daemon reserves one
	Force   bool // take the name from its owner

	Providers []string // what the child's token may use; empty is everything
	Models    []string
	RateLimit int           // requests per hour, 0 is unlimited
	TTL       time.Duration // of the token, 0 is the daemon's default
	NoToken   bool          // mint no token
	NoAIEnv   bool          // leave the SDK variables alone

	Environ []string     // the environment, as os.Environ gives it
	Dir     string       // the working directory, absolute
	Paths   config.Paths // where the daemon keeps its files
	Client  *control.Client

	Stdin, Stdout, Stderr *os.File

	// Grace is how long the tree may take to end before it is killed; 0 is 5 s.
	Grace time.Duration
	// Guard is the command line that runs Guard in a new process of this
	// program; nil is this executable with GuardArg.
	Guard []string
}
