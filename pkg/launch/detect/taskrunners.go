package detect

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
)

// passThrough is the setting of turbo.json with which turbo's tasks get the environment
// without a flag.
const passThrough = `"globalPassThroughEnv": ["PORT", "HOST", "HOSTLESS", "HOSTLESS_*", "OPENAI_*", "ANTHROPIC_*", "__VITE_*", "NODE_EXTRA_CA_CERTS"]`

// taskRunners are rows of the flag table for programs that run a project's tasks.
var taskRunners = map[string]tool{
	"turbo": {serves: turboRuns, found: noPort, wrap: turboWords, note: turboNote},
	"nx":    {serves: nxServes, wrap: nxWords, note: nxNote},
}

func noPort([]string) (int, bool) { return 0, false }

// turboVerbs are turbo's own commands, which run no task.
var turboVerbs = w("bin", "boundaries", "clone", "completion", "config", "daemon", "devtools", "docs", "generate", "gen", "g", "info", "link", "login", "logout", "ls", "prune", "query", "scan", "telemetry", "unlink", "watch")

// turboRuns reports whether turbo with these arguments runs tasks, which may serve.
func turboRuns(_ Files, _ string, args []string) bool {
	words := positionals(args)
	if len(words) > 0 && words[0] == "run" {
		words = words[1:]
	}
	if len(words) == 0 || slices.Contains(turboVerbs, words[0]) {
		return false
	}
	return !slices.Contains(w("build", "lint", "test", "typecheck", "check-types", "format"), words[0])
}

// turboWords returns the flag with which turbo's tasks keep their environment. Turbo's
// strict mode, the default of version 2, clears it.
func turboWords(f Files, dir string, args []string, _ int) []string {
	if _, given := flagValue(args, "--env-mode"); given {
		return nil
	}
	for at := dir; ; at = path.Dir(at) {
		if data, ok := f.read(path.Join(at, "node_modules/turbo/package.json")); ok {
			var m struct{ Version string }
			if json.Unmarshal(data, &m) == nil && strings.HasPrefix(m.Version, "1.") {
				return nil
			}
			break
		}
		if at == "/" {
			break
		}
	}
	return w("--env-mode=loose")
}

func turboNote(words []string, given bool) []string {
	switch {
	case len(words) == 0:
		return nil
	case given:
		return w("turbo hides the environment from its tasks: added --env-mode=loose, so that they get PORT and the token")
	}
	return w("turbo hides PORT and the token from its tasks; add to turbo.json: " + passThrough)
}

// UsesTurbo reports whether there is a turbo.json in dir or above it. Turbo may then run
// tasks even if the command line does not show it.
func UsesTurbo(f Files, dir string) bool {
	for at := dir; ; at = path.Dir(at) {
		if f.exists(path.Join(at, "turbo.json")) || f.exists(path.Join(at, "turbo.jsonc")) {
			return true
		}
		if at == "/" || f.exists(path.Join(at, ".git")) {
			return false
		}
	}
}

// nxTarget parses the project and target of `nx serve web` and `nx run web:serve`.
func nxTarget(args []string) (project, target string) {
	words := positionals(args)
	switch {
	case len(words) == 2 && words[0] == "run":
		project, target, _ = strings.Cut(words[1], ":")
		target, _, _ = strings.Cut(target, ":")
	case len(words) == 2:
		target, project = words[0], words[1]
	case len(words) == 1:
		target = words[0]
	}
	return project, target
}

func nxServes(_ Files, _ string, args []string) bool {
	_, target := nxTarget(args)
	return slices.Contains(w("serve", "dev", "start", "preview", "serve-static"), target)
}

// nxServers are executors whose --port is the port of the server that they start. The
// executor of Node programs is not among them, since its --port is the debugger's.
var nxServers = w("@nx/vite:dev-server", "@nx/vite:preview-server", "@nx/webpack:dev-server", "@nx/rspack:dev-server", "@nx/angular:dev-server",
	"@nx/next:server", "@nx/web:file-server", "@nx/storybook:storybook", "@angular-devkit/build-angular:dev-server", "@angular/build:dev-server",
	"@nrwl/vite:dev-server", "@nrwl/webpack:dev-server", "@nrwl/angular:dev-server", "@nrwl/next:server")

// nxWords returns the port flag for a target whose server is known to take it.
func nxWords(f Files, dir string, args []string, port int) []string {
	if _, given := flagValue(args, "--port"); given {
		return nil
	}
	project, target := nxTarget(args)
	at := nxProject(f, dir, project)
	if at == "" || !nxTakesPort(f, at, target) {
		return nil
	}
	return w("--port=" + strconv.Itoa(port))
}

// nxTakesPort reports whether a project's target starts a server that takes --port, by
// its executor, its command, or the config file from which nx infers the target.
func nxTakesPort(f Files, at, target string) bool {
	var m struct {
		Targets map[string]struct {
			Executor, Command string
			Options           struct{ Command string }
		}
		Scripts map[string]string
	}
	for _, name := range w("project.json", "package.json") {
		if data, ok := f.read(path.Join(at, name)); ok {
			_ = json.Unmarshal(data, &m)
		}
	}
	t, defined := m.Targets[target]
	switch {
	case slices.Contains(nxServers, t.Executor):
		return true
	case t.Command != "" || t.Options.Command != "":
		return servedByPort(f, at, t.Command+t.Options.Command)
	case defined && t.Executor != "":
		return false
	case m.Scripts[target] != "":
		return servedByPort(f, at, m.Scripts[target])
	}
	for _, name := range f.names(at) {
		if stem, _, _ := strings.Cut(name, "."); stem == "vite" || stem == "next" || stem == "astro" || stem == "nuxt" {
			return true // vite.config.ts
		}
	}
	return false
}

// servedByPort reports whether the server that a script starts takes --port.
func servedByPort(f Files, dir, script string) bool {
	found, ok := (&resolver{files: f}).resolveScript(dir, script, nil)
	t, known := tools[found.tool]
	if !ok || !known || t.place != nil || !t.serves(f, found.dir, found.args) {
		return false
	}
	_, given := t.givenPort(found.args)
	return !given
}

// nxProject returns the directory of a project below the workspace's root, by the name in
// its project.json or package.json, or by its directory's name. Without a name it is dir.
func nxProject(f Files, dir, name string) string {
	root := dir
	for ; !f.exists(path.Join(root, "nx.json")); root = path.Dir(root) {
		if root == "/" {
			return ""
		}
	}
	if name == "" {
		return dir
	}
	return nxBelow(f, root, name, 4)
}

func nxBelow(f Files, at, name string, depth int) string {
	for _, file := range w("project.json", "package.json") {
		data, ok := f.read(path.Join(at, file))
		if got := jsonName(data); ok && (got == name || dropScope(got) == name || got == "" && path.Base(at) == name) {
			return at
		}
	}
	if depth == 0 {
		return ""
	}
	for _, entry := range f.names(at) {
		below := path.Join(at, entry)
		if entry == "node_modules" || strings.HasPrefix(entry, ".") || slices.Contains(built, entry) || !f.isDir(below) {
			continue
		}
		if found := nxBelow(f, below, name, depth-1); found != "" {
			return found
		}
	}
	return ""
}

func nxNote(words []string, given bool) []string {
	if len(words) > 0 && given {
		return nil
	}
	return w("nx runs its own commands, which get no flags: Hostless uses the port that they open")
}
