//go:build unix

package launch

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// recordPath returns the path of the record of a run in the background: a file with its
// command line and directory, but not its environment.
func recordPath(paths config.Paths, name string) string {
	return filepath.Join(paths.Home, "runs", appname.Hash(name)+appname.Hash("2"+name)+".json")
}

// record writes the record from which the run can be started again after a crash.
func (r *run) record() {
	data, err := json.Marshal(specOf(r.Config, ""))
	path := recordPath(r.Paths, r.Name)
	if err == nil {
		err = privateDir(filepath.Dir(path))
	}
	if err == nil {
		err = config.WritePrivate(path, data)
	}
	if err != nil {
		r.note("hostless restart %s will not work after a crash: %v", r.Name, err)
	}
}

// forget removes the record of a run that was ended on request.
func (r *run) forget() { _ = os.Remove(recordPath(r.Paths, r.Name)) }

// restartCrashed starts a crashed run in the background again. It returns notRunning if
// there is no record of that name.
func restartCrashed(ctx context.Context, paths config.Paths, name string, notRunning error) (Running, error) {
	data, _, err := config.ReadPrivate(recordPath(paths, name))
	var spec workerSpec
	if err != nil || json.Unmarshal(data, &spec) != nil {
		return Running{}, notRunning
	}
	c := spec.config()
	c.Paths, c.Client, c.Environ, c.Detach = paths, control.NewClient(paths.Socket), os.Environ(), true
	c.Stdin, c.Stdout, c.Stderr, c.Self = os.Stdin, os.Stdout, os.Stderr, nil
	if err := c.defaults(); err != nil {
		return Running{}, err
	}
	r := &run{Config: c, planned: c.AppPort}
	if _, err := r.detach(ctx); err != nil {
		return Running{}, err
	}
	got, err := Wait(ctx, paths, name)
	if fault.Is(err, fault.NotFound) {
		err = &fault.Error{Kind: fault.Upstream, Message: name + " was started again but ended at once", Next: "hostless logs " + name}
	}
	return got, err
}
