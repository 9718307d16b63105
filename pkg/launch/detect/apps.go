package detect

import (
	"encoding/json"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
)

// App is one app of a project with several apps.
type App struct {
	Name    string   // <package>.<project>
	Label   string   // the app's name within the project, the same in every worktree
	Dir     string   // the working directory of its command
	Command []string // a single word with shell syntax is a shell command
	Port    int      // 0 if the daemon chooses one
	Lazy    bool
	Builds  bool // it serves nothing, so it has no name, port or token
}

// projectFile is hostless.json.
type projectFile struct {
	Name string                `json:"name"`
	Apps map[string]projectApp `json:"apps"`
}

type projectApp struct {
	Dir     string      `json:"dir"` // relative to hostless.json
	Command commandLine `json:"command"`
	Port    int         `json:"port"`
	AppPort int         `json:"appPort"` // the same as port
	Lazy    bool        `json:"lazy"`
	Name    string      `json:"name"`   // the whole name, instead of <app>.<project>
	Script  string      `json:"script"` // the package's script, instead of dev
	Proxy   *bool       `json:"proxy"`  // false: it serves nothing
}

// commandLine is a shell command, or a list of arguments.
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

// Apps returns the apps of the project at dir, sorted by name: those of hostless.json,
// else, if dir is the root of a JavaScript workspace, its packages with a dev script. A
// directory without either has none. Outside of git the search for the project's name
// ends at home. The error is fault.Usage if hostless.json cannot be read or names no
// command.
func Apps(f Files, dir, home string, mode Prefix) ([]App, error) {
	base := scopeName(f, dir)
	if base == "" {
		base = Name(f, dir, home)
	}
	project := FullName(f, base, false, mode, dir)
	var apps []App
	add := func(label, name string, app App) {
		if label = appname.Label(dropScope(label)); label == "" {
			return
		}
		app.Label = label
		switch {
		case name != "":
			app.Name = FullName(f, name, false, mode, dir)
		case label == project:
			app.Name = project
		default:
			app.Name = label + "." + project
		}
		apps = append(apps, app)
	}
	file, overrides, err := readProject(f, dir)
	if err != nil {
		return nil, err
	}
	for name, a := range file {
		app, err := fileApp(f, dir, name, a)
		if err != nil {
			return nil, err
		}
		add(name, a.Name, app)
	}
	if len(apps) == 0 && len(workspaceGlobs(f, dir)) > 0 {
		root, packages := workspace(f, dir)
		for _, p := range packages {
			s, err := Configured(f, p.dir)
			if err != nil {
				return nil, err
			}
			if a, ok := overrides[p.dir]; ok {
				s = Settings{Name: a.Name, Script: a.Script, AppPort: max(a.Port, a.AppPort), Proxy: a.Proxy}.merge(s)
			}
			script := s.Script
			if script == "" {
				script = "dev"
			}
			if p.scripts[script] == "" {
				continue
			}
			builds := !s.Routed() || s.Proxy == nil && Builds(f, p.dir, p.scripts[script])
			add(p.name, s.Name, App{Dir: p.dir, Command: []string{manager(f, root), "run", script}, Port: s.AppPort, Builds: builds})
		}
		tellApart(apps, root, project)
	}
	sort.Slice(apps, func(i, j int) bool { return apps[i].Name < apps[j].Name })
	for i := 1; i < len(apps); i++ {
		if apps[i].Name == apps[i-1].Name {
			return nil, &fault.Error{Kind: fault.Usage, Message: fmt.Sprintf("%s and %s would both get the name %s", apps[i-1].Dir, apps[i].Dir, apps[i].Name),
				Next: `give one of them another name: "hostless": { "name": "NAME" } in its package.json`}
		}
	}
	return apps, nil
}

// scopeName returns the npm scope that most packages of a workspace have if the project is
// named after it: if it has no name of its own, or is set up for Portless, whose names it
// then keeps. Else it is "".
func scopeName(f Files, dir string) string {
	if len(workspaceGlobs(f, dir)) == 0 {
		return ""
	}
	data, _ := f.read(path.Join(dir, "package.json"))
	var m struct {
		Name     string
		Hostless json.RawMessage
		Portless *Settings
	}
	_ = json.Unmarshal(data, &m)
	file, text := projectText(f, dir)
	if jsonName(text) != "" || file == "hostless.json" || m.Hostless != nil || m.Portless != nil && m.Portless.Name != "" {
		return ""
	}
	if m.Name != "" && file == "" && m.Portless == nil {
		return ""
	}
	count := map[string]int{}
	best, tie := "", false
	for _, p := range packagesOf(f, dir, workspaceGlobs(f, dir)) {
		scope, _, scoped := strings.Cut(strings.TrimPrefix(p.name, "@"), "/")
		if !scoped || !strings.HasPrefix(p.name, "@") {
			continue
		}
		count[scope]++
		switch {
		case scope == best:
			tie = false
		case count[scope] > count[best]:
			best, tie = scope, false
		case count[scope] == count[best]:
			tie = true
		}
	}
	if tie || count[best] < 2 {
		return "" // no scope is the most common one
	}
	return appname.Unreserved(appname.Label(best))
}

// tellApart renames packages of a workspace that have the same name after their
// directories: apps/ui is apps-ui, packages/ui is packages-ui.
func tellApart(apps []App, root, project string) {
	count := map[string]int{}
	for _, app := range apps {
		count[app.Name]++
	}
	for i, app := range apps {
		if count[app.Name] > 1 && app.Name == app.Label+"."+project {
			apps[i].Label = appname.Label(strings.TrimPrefix(app.Dir, root+"/"))
			apps[i].Name = apps[i].Label + "." + project
		}
	}
}

// readProject reads the apps of a project's own file: the apps that it defines, by name,
// and its settings for packages of the workspace, by their directories.
func readProject(f Files, dir string) (apps, packages map[string]projectApp, err error) {
	name, data := projectText(f, dir)
	if name == "" {
		return nil, nil, nil
	}
	var file projectFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, nil, unreadable(name, err)
	}
	apps, packages = map[string]projectApp{}, map[string]projectApp{}
	for key, a := range file.Apps {
		at := absolute(dir, key)
		if a.Dir == "" && len(a.Command) == 0 && at != dir && f.exists(path.Join(at, "package.json")) {
			packages[at] = a
		} else {
			apps[key] = a
		}
	}
	return apps, packages, nil
}

// fileApp returns an app that a project's own file defines.
func fileApp(f Files, dir, name string, a projectApp) (App, error) {
	bad := func(format string, args ...any) (App, error) {
		return App{}, fault.New(fault.Usage, fmt.Sprintf("hostless.json: the app %q "+format, append([]any{name}, args...)...))
	}
	at := absolute(dir, a.Dir)
	if !f.isDir(at) {
		return bad("is in %s, which is not a directory", at)
	}
	port := a.Port
	if port == 0 {
		port = a.AppPort
	}
	if port < 0 || port > 65535 {
		return bad("has the port %d, which is not between 1 and 65535", port)
	}
	builds := a.Proxy != nil && !*a.Proxy
	if len(a.Command) == 0 {
		script := a.Script
		if script == "" {
			script = "dev"
		}
		text, _, ok := (&resolver{files: f}).script(at, script)
		if !ok {
			return bad("has no command, and %s has no %s script", at, script)
		}
		a.Command = commandLine{manager(f, dir), "run", script}
		builds = builds || a.Proxy == nil && Builds(f, at, text)
	}
	if a.Name != "" {
		if _, err := appname.Check(a.Name); err != nil {
			return App{}, err
		}
	}
	return App{Dir: at, Command: a.Command, Port: port, Lazy: a.Lazy, Builds: builds}, nil
}

// Peers returns the apps of the project that contains dir: what Apps returns for the
// nearest directory, starting with dir, that has any. Outside of a project it is empty.
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

// manager returns a workspace's package manager: from package.json, else by the lock
// file, else npm.
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
