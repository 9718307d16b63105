package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

const (
	startTimeout = 20 * time.Second      // for a started daemon to be healthy
	startProbe   = 25 * time.Millisecond // between two looks at it
	rivalTries   = 40                    // looks for another daemon once ours has ended
	logTail      = 4 << 10               // of a daemon that ended at once
	logLimit     = 16 << 20              // past it the log is put aside at a start
)

func proxyGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "proxy", Usage: "start and stop the daemon without a login service",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "start", Usage: "run the daemon in the background until the machine restarts",
				Flags: append(daemonFlags("https"),
					&cli.BoolFlag{Name: "foreground", Usage: "stay in the foreground, as `serve` does"}, jsonFlag()),
				Description: "It returns once the daemon answers. The log is in ~/.hostless/logs/hostlessd.log.",
			}, 0, 0, func(cc *cli.Context) error {
				o, err := daemonOptionsOf(cc, "https")
				if err != nil {
					return err
				}
				if cc.Bool("foreground") {
					return e.becomeDaemon(o)
				}
				return e.startBackground(cc.Context, o)
			}),
			leaf(&cli.Command{
				Name: "restart", Usage: "replace the running daemon by the installed version, without refusing a connection", Flags: []cli.Flag{jsonFlag()},
				Description: "Responses in progress continue in the old process, at most for the setting `linger`.",
			}, 0, 0, e.proxyRestart),
			leaf(&cli.Command{Name: "stop", Usage: "stop the daemon", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.stop),
		},
	}
}

// startBackground starts a daemon of its own session, unless one runs, and
// waits until it is healthy.
func (e *env) startBackground(ctx context.Context, o daemonOptions) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	var raw []byte
	client = client.Keep(&raw)
	status, err := client.Status(ctx)
	if err == nil {
		if o.port > 0 && o.port != status.Port {
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("a daemon runs already, on port %d (pid %d)", status.Port, status.PID), Next: "hostless stop"}
		}
		if o.tls && !status.TLS {
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("a daemon runs already, without https (pid %d)", status.PID), Next: "hostless config set tls on, or hostless stop first"}
		}
		if o.verbose || o.devMode || o.persistence != "" || o.cert != "" {
			e.note("The daemon runs already: --verbose, --dev-mode, --token-persistence, --cert and --key hold for one that starts. hostless stop first.")
		}
		return e.started(status, raw, "runs already")
	}
	if !notRunning(err) {
		return err
	}
	child, err := e.spawn(o)
	if err != nil {
		return err
	}
	status, err = child.healthy(ctx, client)
	if err != nil {
		return err
	}
	if status.PID != child.pid { // another start was faster
		child.withdraw()
		return e.started(status, raw, "runs already")
	}
	return e.started(status, raw, "started")
}

// started says what runs.
func (e *env) started(s control.Status, raw []byte, what string) error {
	if e.line.json {
		_, err := e.out.Write(raw)
		return err
	}
	e.note("hostlessd %s %s (pid %d, %s)", s.Version, what, s.PID, startedBy(s.Activation))
	return e.printLine("%s", urlOf(s))
}

// proxyRestart has the daemon replaced by a successor, however it was started.
func (e *env) proxyRestart(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.Restarted, error) { return c.Restart(cc.Context) },
		func(r control.Restarted) error { return e.printLine("hostlessd restarted (pid %d)", r.PID) })
}

// notRunning tells an absent daemon from one that must not be spoken to.
func notRunning(err error) bool {
	return fault.Is(err, fault.Unreachable) && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED))
}

// background is a daemon that was started just now.
type background struct {
	pid   int
	end   func() error  // asks it to end
	ended chan struct{} // closed when it has ended
	log   string
	from  int64 // where its part of the log begins
}

// spawn starts hostlessd in a session of its own, its output in the log file.
func (e *env) spawn(o daemonOptions) (*background, error) {
	path, err := e.daemonBinary()
	if err != nil {
		return nil, err
	}
	paths, err := e.paths()
	if err != nil {
		return nil, err
	}
	if err := config.RefuseForeign(paths.Home, os.Geteuid(), e.getenv); err != nil {
		return nil, err
	}
	out, err := openLog(paths)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	b := &background{log: out.Name(), ended: make(chan struct{})}
	if info, err := out.Stat(); err == nil {
		b.from = info.Size()
	}
	cmd := exec.Command(path, o.args()...)
	cmd.Env, cmd.Dir = unsupervised(e.environ()), "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	b.pid = cmd.Process.Pid
	b.end = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	go func() { // ends with the daemon, or with this process
		cmd.Wait()
		close(b.ended)
	}()
	return b, nil
}

// unsupervised takes from an environment what a service manager meant for this
// process alone (sd_listen_fds(3), sd_notify(3), systemd.exec(5)).
func unsupervised(environ []string) []string {
	return slices.DeleteFunc(environ, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "INVOCATION_ID":
			return true
		}
		return false
	})
}

// logFile is where a daemon in the background logs.
func logFile(paths config.Paths) string { return filepath.Join(paths.Logs(), "hostlessd.log") }

// openLog opens the log for appending, private, and puts a long one aside.
func openLog(paths config.Paths) (*os.File, error) {
	for _, dir := range []string{paths.Home, paths.Logs()} {
		if err := config.EnsureDir(dir); err != nil {
			return nil, err
		}
	}
	name := logFile(paths)
	if info, err := os.Lstat(name); err == nil && info.Size() > logLimit {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, fmt.Errorf("close log to others: %w", err)
	}
	return f, nil
}

// healthy waits until the daemon answers on both its sockets, or says why it
// ended.
func (b *background) healthy(ctx context.Context, client *control.Client) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	probe := time.NewTicker(startProbe)
	defer probe.Stop()
	tries := 0
	for {
		status, err := client.Status(ctx)
		if err == nil {
			if err = health(ctx, status); err == nil {
				return status, nil
			}
		}
		select {
		case <-b.ended:
			if tries++; tries < rivalTries {
				<-probe.C // another may have been started at the same time, and be not ready yet
				continue
			}
			return status, &fault.Error{Kind: fault.Internal, Message: "hostlessd ended at once: " + b.lastLogLine(), Next: "look into " + b.log}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return status, ctx.Err()
			}
			return status, &fault.Error{Kind: fault.Unreachable, Message: fmt.Sprintf("hostlessd (pid %d) is not healthy after %s: %v", b.pid, startTimeout, err), Next: "hostless logs"}
		case <-probe.C:
		}
	}
}

// withdraw ends a daemon that came too late, and would take the place of the one
// that runs once that is stopped.
func (b *background) withdraw() {
	_ = b.end() // it may have ended by itself
	select {
	case <-b.ended:
	case <-time.After(startTimeout):
	}
}

// lastLogLine is the last line of the log that this daemon wrote.
func (b *background) lastLogLine() string {
	f, err := os.Open(b.log)
	if err != nil {
		return "it left no log"
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "it left no log"
	}
	from := max(b.from, info.Size()-logTail)
	text, err := io.ReadAll(io.NewSectionReader(f, from, logTail))
	if err != nil {
		return "its log cannot be read"
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return strings.TrimPrefix(last, "hostlessd: ")
	}
	return "it printed nothing"
}

// health asks the gateway's /health over TCP.
func health(ctx context.Context, s control.Status) error {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))+"/health", nil)
	if err != nil {
		return err
	}
	req.Host = "localhost:" + strconv.Itoa(s.Port)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("/health answered %s", resp.Status)
	}
	return nil
}
