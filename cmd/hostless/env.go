package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/build"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"golang.org/x/term"
)

// env holds the streams and environment of one invocation, and its parsed command
// line. Tests make their own.
type env struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	environ  func() []string
	dir      func() (string, error)
	self     func() (string, error) // this program's path
	version  string

	files [3]*os.File // the child's standard streams

	line line // the parsed command line
	skew sync.Once
}

// systemEnv returns the environment of this process.
func systemEnv() *env {
	return &env{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		getenv: os.Getenv, environ: os.Environ, dir: os.Getwd, self: ownProgram,
		version: build.Version(version),
		files:   [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
	}
}

// ownProgram returns this program's path as the user would type it, with symbolic links
// unresolved: the links that package managers put into PATH lead to the new version
// after an upgrade, while the directory that they lead to today may be deleted.
func ownProgram() (string, error) {
	real, err := os.Executable()
	if err != nil {
		return "", err
	}
	typed, err := exec.LookPath(os.Args[0])
	if err != nil {
		return real, nil
	}
	if typed, err = filepath.Abs(typed); err != nil {
		return real, nil
	}
	a, errA := os.Stat(typed)
	b, errB := os.Stat(real)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return real, nil
	}
	return typed, nil
}

// paths returns where this installation keeps its files, and the control socket of its
// daemon, even if that was started in another environment.
func (e *env) paths() (config.Paths, error) { return config.LocateDaemon(e.getenv) }

// client returns a client of the daemon. It does not connect yet.
func (e *env) client() (*control.Client, error) {
	paths, err := e.paths()
	if errors.Is(err, config.ErrSocketPath) { // no daemon can listen on it
		f := *fault.From(err)
		f.Kind = fault.Unreachable
		return nil, &f
	}
	if err != nil {
		return nil, err
	}
	return control.NewClient(paths.Socket, control.WithUserAgent("hostless/"+e.version), control.WithVersionHook(e.noteVersion)), nil
}

// noteVersion warns once that the daemon has another version than this client, and
// names the command that updates it. Commands that replace, stop or examine the daemon
// do not warn.
func (e *env) noteVersion(daemon string) {
	if daemon == e.version {
		return
	}
	switch name, _, _ := strings.Cut(e.line.name(), " "); name {
	case "service", "proxy", "stop", "uninstall", "doctor", "serve":
		return
	}
	e.skew.Do(func() {
		restart := "hostless proxy restart"
		if e.installed(context.Background()) != nil {
			restart = "hostless service restart"
		}
		e.note("hostless: the client is %s, the daemon %s; if the client is the newer one: %s", e.version, daemon, restart)
	})
}

// ask sends one request to the daemon. With --json the response body is printed
// unchanged, and nothing else; otherwise show prints it.
func ask[T any](e *env, request func(*control.Client) (T, error), show func(T) error) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	var raw []byte
	answer, err := request(client.Keep(&raw))
	if err != nil {
		return err
	}
	if e.line.json {
		_, err := e.out.Write(raw)
		return err
	}
	return show(answer)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour reports whether output to a stream is coloured (https://no-color.org).
func (e *env) colour(stream any) bool {
	return e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb" && isTerminal(stream)
}

// daemonBinary finds hostlessd: beside this program, then in PATH.
func (e *env) daemonBinary() (string, error) {
	const name = "hostlessd"
	if self, err := e.self(); err == nil {
		places := []string{filepath.Dir(self)}
		if real, err := filepath.EvalSymlinks(self); err == nil {
			places = append(places, filepath.Dir(real))
		}
		for _, dir := range places {
			if path := filepath.Join(dir, name); executable(path) {
				return path, nil
			}
		}
	}
	if path, err := e.lookPath(name); err == nil {
		return path, nil
	}
	return "", &fault.Error{Kind: fault.NotFound, Message: "hostlessd is not installed: it is neither beside hostless nor in PATH", Next: "make up, in a checkout of Hostless"}
}

// lookPath finds a program in PATH.
func (e *env) lookPath(name string) (string, error) {
	for _, dir := range filepath.SplitList(e.getenv("PATH")) {
		if path := filepath.Join(dir, name); dir != "" && executable(path) {
			return filepath.Abs(path)
		}
	}
	return "", errors.New(name + " is not in PATH")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
