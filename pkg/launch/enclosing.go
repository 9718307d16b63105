//go:build unix

package launch

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/hostless/hostless/pkg/procinfo"
)

// runVariable is the variable with the pid and name of the run around a process. The pid
// is checked against the process table, so that a process that outlives its run, such as
// a terminal multiplexer, is not taken for a part of it.
const runVariable = "HOSTLESS_RUN"

// enclosing is the nearest run that this process is a part of.
type enclosing struct {
	pid  int
	name string
	env  []string // variables of its command that this process does not have
}

// joinEnclosing runs the command as a part of the enclosing run, if there is one for the
// same app: a package's script `hostless run web -- vite` may itself be run by Hostless.
// It then replaces this process with the command, which uses the port, token and name of
// the enclosing run. A run of another name does not join.
func joinEnclosing(ctx context.Context, c Config) (joins bool, code int, err error) {
	if c.Detach || c.Lazy {
		return false, 0, nil
	}
	outer, ok := findEnclosing(ctx, c)
	if !ok || !sameApp(c.Name, outer.name) {
		return false, 0, nil
	}
	environ := c.Environ
	if outer.env != nil {
		set := newEnvironment(environ)
		for _, entry := range outer.env {
			name, value, _ := strings.Cut(entry, "=")
			set.put(name, value)
		}
		environ = set.list()
	}
	port, _ := strconv.Atoi(getenv(environ, "PORT"))
	args := shellWrap(c.Args, c.Dir)
	if port > 0 {
		args = fillIn(detect.Plan(detect.System(), c.Dir, args, port).Args, port, getenv(environ, "HOSTLESS_URL"))
	}
	if c.PortEnv != "" && port > 0 {
		environ = append(environ[:len(environ):len(environ)], c.PortEnv+"="+strconv.Itoa(port))
	}
	fmt.Fprintf(c.Stderr, "hostless: joined the run of %s (pid %d), with its name and port\n", outer.name, outer.pid)
	if len(c.Share) > 0 {
		fmt.Fprintf(c.Stderr, "hostless: the outer run decides how it is shared; to share it now: hostless share %s --%s\n", outer.name, c.Share[0])
	}
	set := newEnvironment(environ)
	set.put("PATH", binPath(c.Dir, set.get("PATH")))
	c.Args, c.Environ = args, set.list()
	code, err = execBare(c)
	return true, code, err
}

// sameApp reports whether the name of a run inside the run outer means the same app: no
// name, the same name, or outer's without its project or worktree.
func sameApp(name, outer string) bool {
	return name == "" || name == outer || strings.HasPrefix(outer, name+".") || strings.HasSuffix(outer, "."+name)
}

// findEnclosing finds the run around this process: by the environment, or, since task
// runners may clear that, by the process table and the daemon's routes.
func findEnclosing(ctx context.Context, c Config) (enclosing, bool) {
	ancestors := selfAndAncestors()
	pid, name, ok := strings.Cut(getenv(c.Environ, runVariable), " ")
	if n, err := strconv.Atoi(pid); ok && err == nil {
		return enclosing{pid: n, name: name}, slices.Contains(ancestors, n)
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	list, err := c.Client.Routes(ctx)
	if err != nil {
		return enclosing{}, false // the run itself reports the error
	}
	best, at := control.Route{}, len(ancestors)
	for _, route := range list.Routes {
		if i := slices.Index(ancestors, route.PID); route.Leased && i >= 0 && i < at {
			best, at = route, i
		}
	}
	if at == len(ancestors) || best.AppName == "" {
		return enclosing{}, false
	}
	answer, err := sendCommand(ctx, c.Paths, best.AppName, commandEnvironment)
	if err != nil || len(answer.Env) == 0 {
		return enclosing{}, false
	}
	return enclosing{pid: best.PID, name: best.AppName, env: answer.Env}, true
}

// selfAndAncestors returns the pids of this process, which may be the command of a run,
// and of its ancestors.
func selfAndAncestors() []int {
	ancestors, _ := procinfo.Ancestors(os.Getpid())
	return append([]int{os.Getpid()}, ancestors...)
}

// refuseEvictingOwn returns an error if this run would take the name of a run around it
// with --force, which would end this run too.
func (r *run) refuseEvictingOwn(ctx context.Context) error {
	if !r.Force {
		return nil
	}
	list, err := r.Client.Routes(ctx)
	if err != nil {
		return err
	}
	ancestors := selfAndAncestors()
	for _, route := range list.Routes {
		if route.Leased && route.AppName == r.Name && slices.Contains(ancestors, route.PID) {
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("%s is the run (pid %d) around this one: taking its name would end both", r.Name, route.PID), Next: "use another name"}
		}
	}
	return nil
}
