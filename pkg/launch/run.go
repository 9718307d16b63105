//go:build unix

package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/hostless/hostless/pkg/launch/proctree"
	"github.com/hostless/hostless/pkg/share"
)

// Run runs the command of c as an app and returns the exit code: the command's own, 128+n
// if signal n ended it, 127 if the command was not found, 126 if it cannot be executed. An
// error is a *fault.Error of Hostless itself, returned with its exit code; nothing is
// running then.
//
// With HOSTLESS=0 in the environment the command replaces this process and runs without
// Hostless. The end of ctx ends the tree as TERM does. Run handles the process's signals
// and children: a process must not have another Run or other children meanwhile.
func Run(ctx context.Context, c Config) (code int, err error) {
	if len(c.Args) == 0 {
		if c.Args, err = detect.ScriptCommand(detect.System(), c.Dir, c.Script); err != nil {
			return failed(err)
		}
	}
	if getenv(c.Environ, "HOSTLESS") == "0" {
		return execBare(c)
	}
	if err := c.defaults(); err != nil {
		return failed(err)
	}
	if joins, code, err := joinEnclosing(ctx, c); joins {
		return code, err
	}
	r := &run{Config: c}
	if err := r.prepare(); err != nil {
		return failed(err)
	}
	// Report a command that cannot start before a name is taken for it.
	if _, code, err := lookPath(r.Args[0], r.Dir, binPath(r.Dir, getenv(r.Environ, "PATH"))); err != nil {
		return code, err
	}
	c.needDaemon(ctx)
	if r.Detach {
		return r.detach(ctx)
	}
	return r.run(ctx)
}

// needDaemon must be called before the daemon is used, after all checks that need none.
func (c Config) needDaemon(ctx context.Context) {
	if c.Autostart != nil {
		c.Autostart(ctx)
	}
}

func failed(err error) (int, error) {
	f := fault.From(err)
	return f.Kind.Exit(), f
}

// run is one Run.
type run struct {
	Config
	planned        int // the requested port, 0 if the daemon chooses one
	configuredPort int // the project's port, 0 for none
	status         control.Status
	lease          *leaseKeeper
	commands       *commandSocket // for `hostless stop NAME`, restart and wait
	log            string         // file for the output of a detached run, "" for this process's streams
	last           []string       // last lines of the output before the command last ended
	crashed        *int           // exit code of a lazy run's command that failed; nil if it did not
	endRequested   bool           // the end was requested
	nameChecked    bool           // checkName has been started
	shares         []*share.Session
	// started, if not nil, is called once, when the run holds its name and, unless it is
	// lazy, the command is running.
	started func(Running)
}

// Running describes a run that has started.
type Running struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Port int    `json:"port"`          // the port of the app
	PID  int    `json:"pid"`           // pid of the run, which ends with the app
	Log  string `json:"log,omitempty"` // the file with the output of a detached run
}

// prepare determines name, command and port, everything that needs no daemon.
func (r *run) prepare() (err error) {
	fsys := detect.System()
	explicit := r.Name != ""
	if explicit {
		if r.Name, err = appname.Check(r.Name); err != nil {
			return err
		}
	} else {
		r.Name = detect.Name(fsys, r.Dir, getenv(r.Environ, "HOME"))
	}
	switch app, ok := r.ofProject(fsys); {
	case !explicit && r.Worktree == "" && ok: // the name that run --all at the root would use
		r.Name = app.Name
	case r.Worktree == "":
		r.Name = detect.FullName(fsys, r.Name, explicit, r.Prefix, r.Dir)
	default:
		if r.Name, err = appname.Check(r.Worktree + "." + r.Name); err != nil {
			return err
		}
	}
	if !r.Unrouted {
		s, err := detect.Configured(fsys, r.Dir)
		if err != nil {
			return err
		}
		r.Unrouted = !s.Routed()
		r.configuredPort = s.AppPort
	}
	if r.Unrouted && len(r.Share) > 0 {
		return fault.New(fault.Usage, "there is nothing to share: the project says that it serves nothing (\"routed\": false)")
	}
	if err := r.preparePort(); err != nil {
		return err
	}
	r.Args = shellWrap(r.Args, r.Dir)
	planned := detect.Plan(fsys, r.Dir, r.Args, 0)
	if r.planned == 0 {
		r.planned = planned.Port
	}
	return r.checkModel(planned.Tool)
}

// checkModel refuses --model for a command that is not an agent whose model can be set, or
// whose environment does not direct it to the gateway.
func (r *run) checkModel(tool string) error {
	switch {
	case r.Model == "":
		return nil
	case agentSDK[tool] == "":
		return fault.New(fault.Usage, "--model is for "+strings.Join(detect.Agents(), ", ")+"; this command is none of them, or its arguments set another address for its models")
	case r.NoToken || r.NoAIEnv || r.Unrouted:
		return fault.New(fault.Usage, "--model needs a token and the agent's own variables: it cannot be combined with --no-token, --no-ai-env or a project with \"proxy\": false")
	}
	return nil
}

// ofProject returns the app of an enclosing project whose directory is this run's.
func (r *run) ofProject(f detect.Files) (app detect.App, ok bool) {
	apps, err := detect.Peers(f, r.Dir, getenv(r.Environ, "HOME"), r.Prefix)
	if err != nil {
		return app, false // a run of the project reports the error
	}
	apps = slices.DeleteFunc(apps, func(a detect.App) bool { return a.Dir != r.Dir })
	if len(apps) != 1 {
		return app, false
	}
	return apps[0], true
}

func (r *run) preparePort() error {
	from := "--app-port"
	r.planned = r.AppPort
	if text := getenv(r.Environ, "HOSTLESS_APP_PORT"); r.planned == 0 && text != "" {
		from = "HOSTLESS_APP_PORT"
		n, err := strconv.Atoi(text)
		if err != nil || n == 0 {
			n = -1
		}
		r.planned = n
	}
	if r.planned == 0 {
		from, r.planned = "appPort", r.configuredPort
	}
	if r.planned < 0 || r.planned > 65535 {
		return fault.New(fault.Usage, from+" must be a port between 1 and 65535")
	}
	return nil
}

// run takes the lease, starts the command and supervises it to its end.
func (r *run) run(ctx context.Context) (code int, err error) {
	if r.Unrouted {
		return r.runUnrouted(ctx)
	}
	if r.status, err = daemonStatus(ctx, r.Client); err != nil {
		return failed(err)
	}
	if err := r.refuseEvictingOwn(ctx); err != nil {
		return failed(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	proctree.BecomeReaper() // adopts the processes that a killed guard leaves
	signals := catchSignals()
	defer signals.stop()
	// The lease has its own context, since the tree ends before the route.
	leaseCtx, endLease := context.WithCancel(context.WithoutCancel(ctx))
	defer endLease()
	r.lease, err = takeLease(leaseCtx, r.Client, control.RouteRequest{
		Name: r.Name, Port: r.planned, Reserve: r.planned == 0, PID: os.Getpid(), Force: r.Force, Lazy: r.Lazy,
		Command: shownCommand(r.Args), Directory: r.Dir, Output: r.outputAt(),
		AutoToken: !r.NoToken, TTL: int64(r.TTL / time.Second),
		Scope: control.Scope{AllowedProviders: r.Providers, AllowedModels: r.Models, RateLimit: r.RateLimit},
	})
	if fault.Is(err, fault.Invalid) { // the daemon validates what the user typed
		f := *fault.From(err)
		f.Kind = fault.Usage
		err = &f
	}
	if err != nil {
		return failed(err)
	}
	if resting := r.lease.registered().Resting; resting != "" {
		r.note("the alias %s to %s is suspended while this runs, and restored after it", r.Name, resting)
	}
	r.lease.onReacquired = func(got control.Registered) { r.note("%s is registered again at %s", got.Hostname, got.URL) }
	r.lease.onRefused = func(err error) { r.note("the daemon is back, but does not accept the route: %v", err) }
	leaseDone := make(chan struct{})
	go func() {
		defer close(leaseDone)
		r.lease.run(leaseCtx)
	}()
	defer func() {
		endLease()
		<-leaseDone
	}()
	go r.keepToken(ctx)
	if r.commands, err = openCommandSocket(r.Paths, r.Name); err != nil {
		r.note("hostless stop, restart and wait cannot reach this run: %v", err)
	}
	defer r.commands.close()
	var tty *terminal
	if r.Label == "" && !r.background() {
		tty = openTerminal()
		defer tty.close()
	}
	defer r.closeShares()
	if over, code, err := r.openShares(ctx, signals); over {
		return code, err
	}
	code, err = r.restartLoop(ctx, tty, signals)
	if err != nil {
		return code, err
	}
	if code != 0 && code < proctree.ExitSignal && r.Label == "" && term.IsTerminal(int(r.Stderr.Fd())) {
		r.note("%s exited with code %d", r.Name, code)
	}
	r.lease.update(control.LeaseUpdate{State: control.StateExited, Exit: &code, Log: r.last})
	endLease()
	<-leaseDone // answer waiting clients only when the name is free
	r.commands.setExited(code)
	return code, nil
}

// statusTimeout is the timeout of a status request. A daemon that has just started on a
// busy machine can be slow.
const statusTimeout = 10 * time.Second

// daemonStatus requests the daemon's status, with a timeout of statusTimeout.
func daemonStatus(ctx context.Context, client *control.Client) (control.Status, error) {
	limited, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := client.Status(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = &fault.Error{Kind: fault.Unreachable, Message: fmt.Sprintf("the daemon has not answered for %v", statusTimeout), Next: "hostless doctor", Err: err}
	}
	return status, err
}

// background reports whether this is a detached run, which has a log and no terminal.
func (r *run) background() bool { return r.log != "" }

// outputAt returns where the user finds the command's output, "" if that is not known.
func (r *run) outputAt() string {
	switch {
	case r.background():
		return control.OutputLog
	case term.IsTerminal(int(r.Stdout.Fd())), r.Label == "" && term.IsTerminal(int(r.Stderr.Fd())):
		return control.OutputTerminal
	}
	return ""
}

// restartLoop starts the command, and starts it again whenever that is requested.
func (r *run) restartLoop(ctx context.Context, tty *terminal, sig *signals) (code int, err error) {
	again := false
	for {
		if r.Lazy && !again {
			if over, code := r.idle(ctx, sig); over {
				return code, nil
			}
		}
		next, code, err := r.supervise(ctx, tty, sig)
		again = next == restart
		switch {
		case err != nil:
			return code, err
		case again:
			r.note("restarting")
		case next == rest && r.Lazy:
			r.note("stopped until the next request")
		case r.Lazy && next == ended && code == 0:
		case r.Lazy && next == ended && !r.endRequested:
			r.note("%s exited with code %d: the next request starts it again", r.Name, code)
			r.crashed = &code
		default:
			return code, nil
		}
	}
}

// running describes this run.
func (r *run) running() Running {
	got := r.lease.registered()
	return Running{Name: r.Name, URL: got.URL, Port: got.TargetPort, PID: os.Getpid(), Log: r.log}
}

func (r *run) reportStarted() {
	if r.started != nil {
		r.started(r.running())
		r.started = nil
	}
}

// start builds the child's environment and starts the child.
func (r *run) start(front bool) (*proctree.Tree, int, error) {
	got := r.lease.registered()
	gateway := "http://localhost:" + strconv.Itoa(r.status.Port)
	e := childEnv{
		port: got.TargetPort, hostname: got.Hostname, url: got.URL, gateway: gateway, dir: r.Dir,
	}
	if got.Token != nil && !r.NoToken {
		e.token = got.Token.Token.Reveal()
	}
	e.piped = r.Label != "" || !term.IsTerminal(int(r.Stdout.Fd()))
	fsys := detect.System()
	if apps, err := detect.Peers(fsys, r.Dir, getenv(r.Environ, "HOME"), r.Prefix); err == nil {
		e.peers = peersOf(apps, got.URL, got.Hostname)
	}
	p := detect.Plan(fsys, r.Dir, r.Args, got.TargetPort)
	if !r.NoAIEnv {
		e.ai.allowed = r.Providers
		e.ai.keyed = detect.ReadsAnthropicKey(fsys, r.Dir, p.Tool)
		e.ai.opens = p.Tool == "opencode"
		for _, p := range r.status.Providers {
			e.ai.held = append(e.ai.held, p.Provider)
		}
	}
	if r.status.TLS {
		e.caCert = certs.CertPath(r.Paths.Home)
		bundle, ok, err := certs.Bundle(r.Paths.Home, getenv(r.Environ, "SSL_CERT_FILE"))
		switch {
		case err != nil:
			r.note("the app's programs may not trust Hostless's https:// certificates: %v", err)
		case ok:
			e.bundle = bundle
		}
	}
	if r.Model != "" {
		e.ai.useModel(p.Tool, r.Model)
		if line, ok := detect.WithOpencodeModel(fsys, r.Dir, p.Args, "hostless/"+r.Model); ok {
			p.Args = line // a session that goes on would use its last model
		}
	}
	if p.Tool == "codex" {
		e.ai.codex = true
		r.leadCodex(&p, e, gateway)
	}
	e.shares = r.shares
	e.turbo = detect.UsesTurbo(fsys, r.Dir)
	e.portEnv, e.run = r.PortEnv, fmt.Sprintf("%d %s", os.Getpid(), r.Name)
	env, changed, removed := e.build(r.Environ)
	r.noteVariables(changed, removed)
	p.Args = fillIn(p.Args, got.TargetPort, got.URL)
	if hint := r.hintAtForms(p.Tool, got.URL); hint != "" {
		p.Notes = append(p.Notes, hint)
	}
	for _, note := range p.Notes {
		r.note("%s", note)
	}
	r.commands.setEnvironment(env, r.Environ)
	file, code, err := lookPath(p.Args[0], r.Dir, getenv(env, "PATH"))
	if err != nil {
		return nil, code, err
	}
	r.note("%s → 127.0.0.1:%d", got.URL, got.TargetPort)
	tree, err := proctree.Start(r.Self, [3]*os.File{r.Stdin, r.Stdout, r.Stderr}, proctree.Command{
		Path: file, Args: p.Args, Env: env, Dir: r.Dir, Foreground: front, Label: r.Label,
	})
	switch {
	case errors.Is(err, syscall.ENOENT): // a script's interpreter is missing
		return nil, exitNotFound, startError(r.Args[0], err)
	case err != nil:
		return nil, exitNotExecutable, startError(r.Args[0], err)
	}
	return tree, 0, nil
}

// fillIn replaces {PORT}, {HOST} and {URL} in a command's arguments.
func fillIn(args []string, port int, url string) []string {
	values := strings.NewReplacer("{PORT}", strconv.Itoa(port), "{HOST}", "127.0.0.1", "{URL}", url)
	filled := make([]string, len(args))
	for i, arg := range args {
		filled[i] = values.Replace(arg)
	}
	return filled
}

// leadCodex adds the gateway's base URL to Codex's arguments, since Codex reads it from no
// variable.
func (r *run) leadCodex(p *detect.Command, e childEnv, gateway string) {
	if r.NoAIEnv || e.token == "" {
		return
	}
	if !slices.Contains(e.ai.held, "openai") || !e.ai.permits("openai") {
		r.note("codex uses its own servers, not the gateway, which has no key of openai for it (hostless keys add openai)")
		return
	}
	if line, ok := detect.WithCodexBaseURL(detect.System(), r.Dir, p.Args, gateway+"/v1", r.Model); ok {
		p.Args = line
		return
	}
	r.note("the gateway's address cannot be added to this command line of codex: add -c openai_base_url=%s/v1 to it", gateway)
}

func startError(name string, err error) error {
	return &fault.Error{Kind: fault.Internal, Message: fmt.Sprintf("%s: cannot be executed: %v", name, err), Err: err}
}

// keepToken extends the child's token while the child runs. A token whose lifetime the
// user chose is not extended.
func (r *run) keepToken(ctx context.Context) {
	got := r.lease.registered().Token
	if got == nil || r.TTL != 0 || got.ExpiresIn <= 0 {
		return
	}
	every := time.Duration(got.ExpiresIn) * time.Second / 2
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
			if got := r.lease.registered().Token; got != nil {
				_, _ = r.Client.RefreshToken(ctx, got.Token) // the next round tries again
			}
		}
	}
}

// note prints one line to stderr, since stdout is only for the child.
func (r *run) note(format string, args ...any) {
	r.labelled("hostless: " + fmt.Sprintf(format, args...) + "\n")
}

// noteVariables prints the names of the variables that were changed or removed, never
// their values.
func (r *run) noteVariables(changed, removed []string) {
	var parts []string
	if len(changed) > 0 {
		parts = append(parts, "replaced "+strings.Join(changed, ", "))
	}
	if len(removed) > 0 {
		parts = append(parts, "removed "+strings.Join(removed, ", "))
	}
	if len(parts) > 0 {
		r.note("in the app's environment: %s (--no-ai-env changes nothing)", strings.Join(parts, "; "))
	}
}
