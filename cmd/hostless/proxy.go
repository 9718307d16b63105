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
	startTimeout = 20 * time.Second      // for a new daemon to become healthy
	startProbe   = 25 * time.Millisecond // between health checks
	rivalTries   = 40                    // health checks for another daemon once ours has ended
	logTail      = 4 << 10               // bytes to read of the log of a daemon that ended at once
	logLimit     = 16 << 20              // a longer log is rotated at the next start
)

func proxyGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "proxy", Usage: "start and stop the daemon without a login service",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "start", Usage: "run the daemon in the background, until it is stopped or the machine restarts",
				Flags: append(daemonFlags("https"),
					&cli.BoolFlag{Name: "foreground", Usage: "stay in the foreground, as `serve` does"}, jsonFlag()),
				Description: "The command returns once the daemon answers. The log is ~/.hostless/logs/hostlessd.log.",
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
				Name: "restart", Usage: "replace the running daemon with the installed version, without refusing a connection", Flags: []cli.Flag{jsonFlag()},
				Description: "Responses in progress continue in the old process, for at most the duration of the setting `linger`.",
			}, 0, 0, e.proxyRestart),
			leaf(&cli.Command{Name: "stop", Usage: "stop the daemon", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.stop),
		},
	}
}

// startBackground starts a daemon in a new session, unless one is running, and
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
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("a daemon is already running on port %d (pid %d)", status.Port, status.PID), Next: "hostless stop"}
		}
		if o.tls && !status.TLS {
			return &fault.Error{Kind: fault.Conflict, Message: fmt.Sprintf("a daemon is already running without https (pid %d)", status.PID), Next: "hostless config set tls on, or hostless stop first"}
		}
		if o.verbose || o.devMode || o.persistence != "" || o.cert != "" {
			e.note("The daemon is already running: --verbose, --dev-mode, --token-persistence, --cert and --key apply only to a new one. To start one: hostless stop")
		}
		return e.started(status, raw, "is already running")
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
	if status.PID != child.pid { // another client started it first
		child.withdraw()
		return e.started(status, raw, "is already running")
	}
	return e.started(status, raw, "started")
}

// started prints which daemon is running and its URL.
func (e *env) started(s control.Status, raw []byte, what string) error {
	if e.line.json {
		_, err := e.out.Write(raw)
		return err
	}
	e.note("hostlessd %s %s (pid %d, %s)", s.Version, what, s.PID, startedBy(s.Activation))
	return e.printLine("%s", urlOf(s))
}

// proxyRestart makes the daemon start a new process and hand over to it, however it was
// started.
func (e *env) proxyRestart(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.Restarted, error) { return c.Restart(cc.Context) },
		func(r control.Restarted) error { return e.printLine("hostlessd restarted (pid %d)", r.PID) })
}

// notRunning reports whether err means that no daemon is running, rather than one that
// cannot be used.
func notRunning(err error) bool {
	return fault.Is(err, fault.Unreachable) && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED))
}

// background is a daemon that this process has just started.
type background struct {
	pid   int
	end   func() error  // asks it to end
	ended chan struct{} // closed when it has ended
	log   string
	from  int64 // offset of its part of the log
}

// spawn starts hostlessd in a new session, with its output going to the log file.
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

// unsupervised removes the variables from an environment that a service manager sets for
// one process only (sd_listen_fds(3), sd_notify(3), systemd.exec(5)).
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

// logFile returns the path of the log of a daemon in the background.
func logFile(paths config.Paths) string { return filepath.Join(paths.Logs(), "hostlessd.log") }

// openLog opens the log for appending with mode 0600, and rotates a long one.
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
		return nil, fmt.Errorf("set the log's mode: %w", err)
	}
	return f, nil
}

// healthy waits until the daemon answers on both its sockets. If the daemon ends, the
// error has its last log line.
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
				<-probe.C // another client may have started one that is not ready yet
				continue
			}
			return status, &fault.Error{Kind: fault.Internal, Message: "hostlessd ended at once: " + b.lastLogLine(), Next: "see " + b.log}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return status, ctx.Err()
			}
			return status, &fault.Error{Kind: fault.Unreachable, Message: fmt.Sprintf("hostlessd (pid %d) is not healthy after %s: %v", b.pid, startTimeout, err), Next: "hostless logs"}
		case <-probe.C:
		}
	}
}

// withdraw ends this daemon because another one is running. If it is still starting, it
// would otherwise take over when that one is stopped.
func (b *background) withdraw() {
	_ = b.end() // it may have ended by itself
	select {
	case <-b.ended:
	case <-time.After(startTimeout):
	}
}

// lastLogLine returns the last line that this daemon logged.
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

// health requests /health over TCP.
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
