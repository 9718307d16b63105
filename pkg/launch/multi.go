//go:build unix

package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
)

// App is one app of a project with several.
type App struct {
	Name    string   // <package>.<project>
	Dir     string   // where its command runs
	Command []string // a single word with shell syntax is for the shell
	Port    int      // 0 where the daemon picks one
	Lazy    bool
}

// projectFile is hostless.json.
type projectFile struct {
	Name string                `json:"name"`
	Apps map[string]projectApp `json:"apps"`
}

type projectApp struct {
	Dir     string  `json:"dir"` // relative to the file
	Command command `json:"command"`
	Port    int     `json:"port"`
	Lazy    bool    `json:"lazy"`
}

// command is a line for the shell, or a list of arguments.
type command []string

// UnmarshalJSON implements json.Unmarshaler.
func (c *command) UnmarshalJSON(data []byte) error {
	var line string
	if json.Unmarshal(data, &line) == nil {
		*c = command{line}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*c = list
	return nil
}

// Apps finds the apps of the project at dir, sorted by name: those of
// hostless.json, else the packages of the JavaScript workspace whose root dir is
// that have a dev script. A directory without either has none. A hostless.json
// that cannot be read, or names no command, is fault.Usage.
func Apps(dir string, environ []string) ([]App, error) {
	return appsOf(files{os.DirFS("/")}, dir, getenv(environ, "HOME"), PrefixAuto)
}

func appsOf(f files, dir, home string, mode Prefix) ([]App, error) {
	project := fullName(f, inferName(f, dir, home), false, mode, dir)
	var apps []App
	add := func(name string, app App) {
		if name = appname.Label(dropScope(name)); name == "" {
			return
		}
		app.Name = name + "." + project
		if name == project {
			app.Name = project
		}
		apps = append(apps, app)
	}
	if data, ok := f.read(path.Join(dir, "hostless.json")); ok {
		var file projectFile
		if err := json.Unmarshal(data, &file); err != nil {
			why := err.Error()
			var kind *json.UnmarshalTypeError
			if errors.As(err, &kind) {
				why = fmt.Sprintf("%s cannot be a %s", kind.Field, kind.Value)
			}
			return nil, &fault.Error{Kind: fault.Usage, Message: "hostless.json cannot be read: " + why, Err: err}
		}
		for name, a := range file.Apps {
			at := absolute(dir, a.Dir)
			if !f.isDir(at) {
				return nil, fault.New(fault.Usage, fmt.Sprintf("hostless.json: the app %q is in %s, which is no directory", name, at))
			}
			if a.Port < 0 || a.Port > 65535 {
				return nil, fault.New(fault.Usage, fmt.Sprintf("hostless.json: the app %q has the port %d: it must be from 1 to 65535", name, a.Port))
			}
			if len(a.Command) == 0 {
				if _, _, ok := (&seer{files: f}).script(at, "dev"); !ok {
					return nil, fault.New(fault.Usage, fmt.Sprintf("hostless.json: the app %q has no command, and %s no dev script", name, at))
				}
				a.Command = command{manager(f, dir), "run", "dev"}
			}
			add(name, App{Dir: at, Command: a.Command, Port: a.Port, Lazy: a.Lazy})
		}
	}
	if len(apps) == 0 && len(workspaceGlobs(f, dir)) > 0 {
		root, packages := workspace(f, dir)
		for _, p := range packages {
			if p.scripts["dev"] != "" {
				add(p.name, App{Dir: p.dir, Command: []string{manager(f, root), "run", "dev"}})
			}
		}
	}
	sort.Slice(apps, func(i, j int) bool { return apps[i].Name < apps[j].Name })
	for i := 1; i < len(apps); i++ {
		if apps[i].Name == apps[i-1].Name {
			return nil, fault.New(fault.Usage, fmt.Sprintf("%s and %s would both be called %s", apps[i-1].Dir, apps[i].Dir, apps[i].Name))
		}
	}
	return apps, nil
}

// manager finds a workspace's package manager: by package.json, else by the
// lock file, else npm.
func manager(f files, root string) string {
	var m struct{ PackageManager string }
	if data, ok := f.read(path.Join(root, "package.json")); ok && json.Unmarshal(data, &m) == nil {
		name, _, _ := strings.Cut(m.PackageManager, "@")
		for _, known := range w("npm", "pnpm", "yarn", "bun") {
			if name == known {
				return name
			}
		}
	}
	for _, lock := range [][2]string{{"pnpm-workspace.yaml", "pnpm"}, {"pnpm-lock.yaml", "pnpm"}, {"yarn.lock", "yarn"}, {"bun.lock", "bun"}, {"bun.lockb", "bun"}} {
		if f.exists(path.Join(root, lock[0])) {
			return lock[1]
		}
	}
	return "npm"
}

// RunAll runs every app of the project in c.Dir side by side, each with a name
// of its own and its lines labelled with it, until all have ended; c.Args,
// c.Name and c.AppPort are not used. It gives the first exit code that is not 0. With
// c.Detach each goes to the background.
//
// HUP, INT, QUIT and TERM end all of them; so does the death of this process.
func RunAll(ctx context.Context, c Config) (code int, err error) {
	if err := c.defaults(); err != nil {
		return failed(err)
	}
	if getenv(c.Environ, "HOSTLESS") == "0" {
		return failed(fault.New(fault.Usage, "HOSTLESS=0 runs one command bare, not several apps"))
	}
	apps, err := appsOf(files{os.DirFS("/")}, c.Dir, getenv(c.Environ, "HOME"), c.Prefix)
	if err != nil {
		return failed(err)
	}
	if len(apps) == 0 {
		return failed(&fault.Error{Kind: fault.Usage, Message: "there is no app here: hostless.json names none, and no package of a workspace has a dev script", Next: "hostless run NAME -- CMD…"})
	}
	if _, err := c.Client.Status(ctx); err != nil {
		return failed(err)
	}
	runs := make([]*run, len(apps))
	labels := makeLabels(apps, c)
	for i, app := range apps {
		one := c
		one.Name, one.Prefix, one.Args, one.Dir, one.Label = app.Name, PrefixNever, app.Command, app.Dir, labels[i]
		one.Lazy = c.Lazy || app.Lazy
		one.AppPort = app.Port
		if c.Detach {
			one.Label = ""
		}
		runs[i] = &run{Config: one}
		if err := runs[i].prepare(); err != nil {
			return failed(err)
		}
		runs[i].AppPort = runs[i].planned
	}
	if c.Detach {
		for _, r := range runs {
			if got, err := r.detach(ctx); err != nil && code == 0 {
				code = got
				r.note("%s: %v", r.Name, err)
			}
		}
		return code, nil
	}
	return together(ctx, c, runs)
}

// together runs the workers until all have ended.
func together(ctx context.Context, c Config, runs []*run) (code int, err error) {
	sig := catchSignals()
	defer sig.stop()
	var mu sync.Mutex // of code and live
	live := map[*worker]bool{}
	var ending atomic.Bool
	var all sync.WaitGroup
	for _, r := range runs {
		one := r.Config
		if term.IsTerminal(int(c.Stdout.Fd())) && getenv(c.Environ, "NO_COLOR") == "" && getenv(c.Environ, "FORCE_COLOR") == "" {
			one.Environ = append(c.Environ[:len(c.Environ):len(c.Environ)], "FORCE_COLOR=1") // they see a pipe
		}
		wk, err := startWorker(one, "", c.Stdout)
		if err != nil {
			r.note("%s: %v", r.Name, err)
			code = max(code, 1)
			continue
		}
		live[wk] = true
		all.Go(func() {
			_, got, err := wk.begun()
			if err == nil {
				var rep workerReport
				if wk.in.Decode(&rep) == nil {
					got = rep.Code
				}
				if !ending.Load() {
					r.note("ended with exit code %d", got)
				}
			} else {
				r.note("%s: %v", r.Name, err)
			}
			_ = wk.cmd.Wait()
			wk.conn.Close()
			mu.Lock()
			defer mu.Unlock()
			delete(live, wk)
			if code == 0 {
				code = got
			}
		})
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		all.Wait()
	}()
	pass := func(s syscall.Signal) {
		mu.Lock()
		defer mu.Unlock()
		for wk := range live {
			_ = wk.cmd.Process.Signal(s)
		}
	}
	done := ctx.Done()
	for {
		var s syscall.Signal
		select {
		case <-over:
			return code, nil
		case got := <-sig.ending:
			s = got.(syscall.Signal)
			ending.Store(true)
		case got := <-sig.plain:
			if s = got.(syscall.Signal); s == syscall.SIGTSTP {
				pass(s)
				(&terminal{own: unix.Getpgrp()}).stopSelf(sig.cont, false)
				s = syscall.SIGCONT
			}
		case <-sig.cont:
			s = syscall.SIGCONT
		case <-done:
			done, s = nil, syscall.SIGTERM
			ending.Store(true)
		}
		pass(s)
	}
}

// makeLabels makes labels of one width, coloured on a terminal.
func makeLabels(apps []App, c Config) []string {
	colours := []int{36, 35, 33, 32, 34, 31}
	coloured := term.IsTerminal(int(c.Stdout.Fd())) && getenv(c.Environ, "NO_COLOR") == ""
	short := make([]string, len(apps))
	width := 0
	for i, app := range apps {
		short[i], _, _ = strings.Cut(app.Name, ".")
		width = max(width, len(short[i]))
	}
	labels := make([]string, len(apps))
	for i, name := range short {
		labels[i] = fmt.Sprintf("%-*s │ ", width, name)
		if coloured {
			labels[i] = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[i%len(colours)], labels[i])
		}
	}
	return labels
}

// labelled writes a note of the run, with its label where it has one.
func (r *run) labelled(text string) {
	out := r.Stderr
	if r.Label != "" {
		out = r.Stdout // in line with the app's own
	}
	_, _ = io.WriteString(out, r.Label+text)
}
