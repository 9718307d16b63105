package routes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// disk is routes.json: the standing routes, the routes of processes, which may outlive
// the daemon, and the last port of each app.
type disk struct {
	path string

	mu    sync.Mutex // guards the file
	file  diskFile
	dirty sync.Mutex // guards ports
}

type diskFile struct {
	Version int            `json:"version"`
	Routes  []diskRoute    `json:"routes"`
	Ports   map[string]int `json:"ports"`
	Runs    []string       `json:"runs,omitempty"` // hosts of runs, whose clients register again after a crash
	Past    []pastRun      `json:"past,omitempty"`
}

type diskRoute struct {
	Name       string `json:"name"`
	Target     string `json:"target"`
	KeepHost   bool   `json:"keep_host,omitempty"`
	Insecure   bool   `json:"insecure,omitempty"`
	Wildcard   bool   `json:"wildcard,omitempty"`
	PathPrefix string `json:"path_prefix,omitempty"`
	Alias      bool   `json:"alias,omitempty"`
	PID        int    `json:"pid,omitempty"`
	PIDStart   string `json:"pid_start,omitempty"` // distinguishes the process from a later one with the same id
}

// pastRun says how a run ended, for the error pages. The output is not stored.
type pastRun struct {
	Name      string    `json:"name"`
	Command   string    `json:"command,omitempty"` // redacted, as the pages show it
	Directory string    `json:"directory,omitempty"`
	Output    string    `json:"output,omitempty"`
	Exit      *int      `json:"exit,omitempty"`
	At        time.Time `json:"at"`
}

func (r diskRoute) registration() Registration {
	return Registration{
		Name: r.Name, Target: r.Target, KeepHost: r.KeepHost, Insecure: r.Insecure, Wildcard: r.Wildcard, PathPrefix: r.PathPrefix, Alias: r.Alias,
		PID: r.PID,
	}
}

// ended reports whether the route's process has exited.
func (r diskRoute) ended() bool { return r.PID != 0 && !process{r.PID, r.PIDStart}.alive() }

// onDisk returns what is stored of a route.
func (r *Entry) onDisk() diskRoute {
	return diskRoute{
		Name: r.Name, Target: r.Target.String(), KeepHost: r.KeepHost, Insecure: r.Insecure, Wildcard: r.Wildcard, PathPrefix: r.PathPrefix, Alias: r.Alias,
		PID: r.owner.pid, PIDStart: r.owner.start,
	}
}

// maxPorts limits the number of remembered ports.
const maxPorts = 1000

// openDisk reads the file. A file that is not a route table is kept aside.
func openDisk(path string, now func() time.Time) (*disk, []string, error) {
	d := &disk{path: path, file: diskFile{Version: 1, Ports: map[string]int{}}}
	if path == "" {
		return d, nil, nil
	}
	var warnings []string
	data, opened, err := config.ReadPrivate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("read route table: %w", err)
	case opened:
		warnings = append(warnings, path+" was readable by others; its permissions have been corrected")
	}
	var file diskFile
	if err := json.Unmarshal(data, &file); err != nil || file.Version != 1 {
		aside, err := config.KeepAside(path, now())
		if err != nil {
			return nil, warnings, err
		}
		return d, append(warnings, fmt.Sprintf("%s could not be read as a route table and is kept as %s", path, aside)), nil
	}
	if file.Ports == nil {
		file.Ports = map[string]int{}
	}
	d.file = file
	return d, warnings, nil
}

// port returns the last port of an app, or 0.
func (d *disk) port(name string) int {
	d.dirty.Lock()
	defer d.dirty.Unlock()
	return d.file.Ports[name]
}

// remember records an app's port. It is written with the next change of the routes,
// because losing it does no harm.
func (d *disk) remember(name string, port int) {
	d.dirty.Lock()
	defer d.dirty.Unlock()
	if len(d.file.Ports) >= maxPorts {
		clear(d.file.Ports)
	}
	d.file.Ports[name] = port
}

// write stores the routes. It calls table only once it holds the lock of the file, so
// that the last writer writes the latest table.
func (d *disk) write(table func() (routes []diskRoute, runs []string, past []pastRun)) error {
	if d.path == "" {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	file := diskFile{Version: 1}
	file.Routes, file.Runs, file.Past = table()
	d.dirty.Lock()
	file.Ports = maps.Clone(d.file.Ports)
	d.dirty.Unlock()
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return config.WritePrivate(d.path, append(data, '\n'))
}
