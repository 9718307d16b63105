package detect

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// TurboDependencies returns the arguments of the turbo commands that run what the apps'
// scripts depend on in turbo.json, such as the builds of other packages of a workspace:
// Hostless starts the scripts themselves, so that each gets its own name and port. root is
// the workspace's root. There are none if turbo is not used, or if the project's own file
// has "turbo": false.
func TurboDependencies(f Files, root string, apps []App) (commands [][]string) {
	tasks := turboTasks(f, root)
	if len(tasks) == 0 || !turboWanted(f, root) {
		return nil
	}
	filters := map[string][]string{} // by task
	var order []string
	need := func(task, filter string) {
		if len(filters[task]) == 0 {
			order = append(order, task)
		}
		if !slices.Contains(filters[task], filter) {
			filters[task] = append(filters[task], filter)
		}
	}
	for _, app := range apps {
		data, _ := f.read(path.Join(app.Dir, "package.json"))
		pkg := jsonName(data)
		if pkg == "" || len(app.Command) != 3 || app.Command[1] != "run" {
			continue // its command is not a script that turbo knows
		}
		script := app.Command[2]
		task, ok := tasks[pkg+"#"+script]
		if !ok {
			task = tasks[script]
		}
		for _, dependency := range task.DependsOn {
			switch before, of, whole := strings.Cut(dependency, "#"); {
			case strings.HasPrefix(dependency, "$"): // an environment variable, in old files
			case whole:
				need(of, before)
			case dependency == "^"+script, dependency == script: // other apps, which are started as well
			case strings.HasPrefix(dependency, "^"):
				need(dependency[1:], pkg+"^...")
			default:
				need(dependency, pkg)
			}
		}
	}
	for _, task := range order {
		args := []string{"run", task}
		for _, filter := range filters[task] {
			args = append(args, "--filter="+filter)
		}
		commands = append(commands, append(args, turboWords(f, root, nil, 0)...))
	}
	return commands
}

// turboTask is a task of turbo.json.
type turboTask struct {
	DependsOn []string `json:"dependsOn"`
}

// turboTasks returns the tasks of the turbo.json or turbo.jsonc in root.
func turboTasks(f Files, root string) map[string]turboTask {
	for _, name := range w("turbo.json", "turbo.jsonc") {
		data, ok := f.read(path.Join(root, name))
		if !ok {
			continue
		}
		var file struct{ Tasks, Pipeline map[string]turboTask } // version 1 has a pipeline
		if json.Unmarshal(withoutComments(data), &file) != nil {
			return nil // turbo itself reports it
		}
		if file.Tasks == nil {
			return file.Pipeline
		}
		return file.Tasks
	}
	return nil
}

// turboWanted reports whether the project has not set "turbo": false.
func turboWanted(f Files, root string) bool {
	var s struct {
		Turbo    *bool
		Hostless json.RawMessage
	}
	if _, data := projectText(f, root); json.Unmarshal(data, &s) == nil && s.Turbo != nil {
		return *s.Turbo
	}
	if data, ok := f.read(path.Join(root, "package.json")); ok && json.Unmarshal(data, &s) == nil && json.Unmarshal(s.Hostless, &s) == nil && s.Turbo != nil {
		return *s.Turbo
	}
	return true
}

// withoutComments replaces the comments of JSONC with blanks, and removes commas before a
// closing bracket.
func withoutComments(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			start := i
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			out = append(out, data[start:min(i+1, len(data))]...)
		case c == '/' && i+1 < len(data) && data[i+1] == '/':
			for i < len(data) && data[i] != '\n' {
				i++
			}
			out = append(out, '\n')
		case c == '/' && i+1 < len(data) && data[i+1] == '*':
			end := strings.Index(string(data[i+2:]), "*/")
			if end < 0 {
				return out
			}
			i += 2 + end + 1
		case c == '}' || c == ']':
			for len(out) > 0 && strings.IndexByte(" \t\r\n", out[len(out)-1]) >= 0 {
				out = out[:len(out)-1]
			}
			if len(out) > 0 && out[len(out)-1] == ',' {
				out = out[:len(out)-1]
			}
			out = append(out, c)
		default:
			out = append(out, c)
		}
	}
	return out
}
