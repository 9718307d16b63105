package detect

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
)

// App is one app of a project with several.
type App struct {
	Name    string   // <package>.<project>
	Label   string   // of the app within the project: the same in every worktree
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
	Dir     string      `json:"dir"` // relative to the file
	Command commandLine `json:"command"`
	Port    int         `json:"port"`
	Lazy    bool        `json:"lazy"`
}

// commandLine is a line for the shell, or a list of arguments.
type commandLine []string

// UnmarshalJSON implements json.Unmarshaler.
func (c *commandLine) UnmarshalJSON(data []byte) error {
	var line string
	if json.Unmarshal(data, &line) == nil {
		*c = commandLine{line}
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
// that have a dev script. A directory without either has none. home is where the
// search for the project's name ends outside of git. A hostless.json that cannot
// be read, or names no command, is fault.Usage.
func Apps(f Files, dir, home string, mode Prefix) ([]App, error) {
	project := FullName(f, Name(f, dir, home), false, mode, dir)
	var apps []App
	add := func(name string, app App) {
		if name = appname.Label(dropScope(name)); name == "" {
			return
		}
		app.Label = name
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
				if _, _, ok := (&resolver{files: f}).script(at, "dev"); !ok {
					return nil, fault.New(fault.Usage, fmt.Sprintf("hostless.json: the app %q has no command, and %s no dev script", name, at))
				}
				a.Command = commandLine{manager(f, dir), "run", "dev"}
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

// Peers finds the apps of the project that dir is in, as Apps does for its root:
// the nearest directory, dir included, that has any. Outside of one it is empty.
func Peers(f Files, dir, home string, mode Prefix) ([]App, error) {
	for at := dir; ; at = path.Dir(at) {
		if apps, err := Apps(f, at, home, mode); err != nil || len(apps) > 0 {
			return apps, err
		}
		if at == "/" || at == home || f.exists(path.Join(at, ".git")) {
			return nil, nil
		}
	}
}

// manager finds a workspace's package manager: by package.json, else by the
// lock file, else npm.
func manager(f Files, root string) string {
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
