package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/errpage"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// Limits of the output of an app that is shown.
const (
	shownLines = 40
	tailBytes  = 32 << 10
)

// lastLines returns the last lines that an app printed, as far as the daemon knows them:
// from the log of a detached run, else those that its client has sent. Secrets that Hostless
// knows are redacted, and terminal control characters are removed.
func (d *daemon) lastLines(r routes.Route) []string {
	lines := r.Log
	if r.Output == routes.OutputLog {
		if text, err := tailOf(d.cfg.Paths.AppLog(r.Name)); err == nil && text != "" {
			lines = strings.Split(strings.TrimRight(d.redactor.String(text), "\n"), "\n")
		}
	}
	lines = lines[max(0, len(lines)-shownLines):]
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, errpage.Plain(line))
	}
	return out
}

// appOutput returns the last lines of a running app, else of the last run of that name.
func (d *daemon) appOutput(ctx context.Context, name string) (control.AppOutput, error) {
	name, err := appname.Check(name)
	if err != nil {
		return control.AppOutput{}, &fault.Error{Kind: fault.Invalid, Param: "name", Message: fault.From(err).Message}
	}
	d.routes.RefreshLines(ctx, name)
	for _, r := range d.routes.List() {
		if r.Name == name {
			return control.AppOutput{Name: name, State: r.State, Exit: r.Exit, Lines: d.lastLines(r)}, nil
		}
	}
	if last := d.routes.LastRun(name); last != nil {
		return control.AppOutput{Name: name, State: routes.StateExited, Exit: last.Exit, Lines: d.lastLines(last.Route)}, nil
	}
	return control.AppOutput{}, &fault.Error{Kind: fault.NotFound, Message: "there is no app " + name, Next: "hostless list"}
}

// tailOf returns the last complete lines of a file.
func tailOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	data := make([]byte, min(end, tailBytes))
	if _, err := f.ReadAt(data, end-int64(len(data))); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	text := string(data)
	if end > tailBytes {
		_, text, _ = strings.Cut(text, "\n") // the first line may be incomplete, so that a secret in it is not recognised
	}
	return text, nil
}
