package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/service"
	"github.com/urfave/cli/v2"
)

const (
	logShown  = 200                    // lines of the log without -f
	logReread = 250 * time.Millisecond // polling interval of a followed log
)

func logsGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "logs", Usage: "the daemon's log, or the output of a detached app", ArgsUsage: "[NAME]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "print new lines as they are written; -n N prints the last lines first"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Usage: "print the last `N` lines (default: 200)"},
		},
		Description: "The login service logs to the journal under systemd; any other daemon logs to ~/.hostless/logs.\n" +
			"The output of an app of `hostless run --detach` is in ~/.hostless/logs/apps.",
	}, 0, 1, e.logs)
}

// lines returns how many of a log's last lines to print.
func lines(cc *cli.Context) (int, error) {
	switch n := cc.Int("lines"); {
	case n < 0:
		return 0, usage("--lines %d is negative", n)
	case cc.IsSet("lines"):
		return n, nil
	case cc.Bool("follow"):
		return 0, nil
	}
	return logShown, nil
}

func (e *env) logs(cc *cli.Context) error {
	n, err := lines(cc)
	if err != nil {
		return err
	}
	paths, err := e.paths()
	if err != nil {
		return err
	}
	if name := cc.Args().First(); name != "" {
		return e.appLogs(cc, paths, name)
	}
	if e.journalled(cc.Context) {
		return e.journal(cc.Context, n, cc.Bool("follow"))
	}
	f, err := os.Open(logFile(paths))
	if errors.Is(err, fs.ErrNotExist) {
		return &fault.Error{Kind: fault.NotFound, Message: "there is no log at " + logFile(paths), Next: e.startCommand(cc.Context)}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := e.tail(f, n); err != nil || !cc.Bool("follow") {
		return err
	}
	return e.follow(cc.Context, f)
}

// journalled reports whether the daemon logs to systemd's journal: the one that
// runs, else the one that is installed.
func (e *env) journalled(ctx context.Context) bool {
	client, err := e.client()
	if err != nil {
		return false
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		m := e.installed(ctx)
		return m != nil && m.Journal()
	}
	return status.Activation == "systemd"
}

// journal prints the daemon's journal with journalctl.
func (e *env) journal(ctx context.Context, n int, follow bool) error {
	path, err := e.lookPath("journalctl")
	if err != nil {
		return &fault.Error{Kind: fault.NotFound, Message: "the log is in systemd's journal, and journalctl is not in PATH", Err: err}
	}
	unit := service.Name + ".service"
	if m := e.installed(ctx); m != nil {
		unit = m.Unit()
	}
	args := []string{"journalctl", "--user", "--unit=" + unit, "--lines", strconv.Itoa(n), "--no-pager"}
	if follow {
		args = append(args, "--follow")
	}
	err = syscall.Exec(path, args, e.environ())
	return fmt.Errorf("start journalctl: %w", err)
}

// tail prints the last n lines and leaves f at its end.
func (e *env) tail(f *os.File, n int) error {
	most := max(int64(n)<<10, 256<<10)
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	from := max(0, end-most)
	text := make([]byte, end-from)
	if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	lines := strings.SplitAfter(string(text), "\n")
	if from > 0 && len(lines) > 1 {
		lines = lines[1:] // the first may be incomplete
	}
	if text := len(lines) - 1; text > n {
		lines = lines[text-n:]
	}
	return e.print(strings.Join(lines, ""))
}

// print writes part of a log without its terminal control characters.
func (e *env) print(text string) error {
	if isTerminal(e.out) {
		text = printable(strings.ReplaceAll(text, "\r\n", "\n"))
	}
	_, err := io.WriteString(e.out, text)
	return err
}

// follow prints what is appended to f until ctx ends. When f is truncated it starts
// again at the beginning.
func (e *env) follow(ctx context.Context, f *os.File) error {
	tick := time.NewTicker(logReread)
	defer tick.Stop()
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if err := e.print(string(buf[:n])); err != nil {
				return err
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err == nil && info.Size() < at {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
	}
}
