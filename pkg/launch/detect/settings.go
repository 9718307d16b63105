package detect

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
)

// Settings are a project's settings for one of its apps: in hostless.json, or under
// "hostless" in package.json, where a string is only the name. If there are none,
// Portless's files are read.
type Settings struct {
	Name    string `json:"name"`
	Script  string `json:"script"`  // a script of package.json; "" is dev
	AppPort int    `json:"appPort"` // 0 if the daemon chooses one
	Proxy   *bool  `json:"proxy"`   // false runs the app without name, port and token
}

// Routed reports whether the app gets a route, which is the default.
func (s Settings) Routed() bool { return s.Proxy == nil || *s.Proxy }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Settings) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &s.Name) == nil {
		return nil
	}
	type plain Settings
	return json.Unmarshal(data, (*plain)(s))
}

// merge returns s with the fields that are set in over replaced.
func (s Settings) merge(over Settings) Settings {
	if over.Name != "" {
		s.Name = over.Name
	}
	if over.Script != "" {
		s.Script = over.Script
	}
	if over.AppPort != 0 {
		s.AppPort = over.AppPort
	}
	if over.Proxy != nil {
		s.Proxy = over.Proxy
	}
	return s
}

// Configured reads the settings of the app at dir from the project file there and from
// package.json, which takes precedence. The error is fault.Usage if one cannot be read,
// or if its port or name is invalid.
func Configured(f Files, dir string) (s Settings, err error) {
	if name, data := projectText(f, dir); name != "" {
		if err := json.Unmarshal(data, &s); err != nil {
			return s, unreadable(name, err)
		}
	}
	if data, ok := f.read(path.Join(dir, "package.json")); ok {
		var m struct{ Hostless, Portless *Settings }
		if err := json.Unmarshal(data, &m); err != nil && (m.Hostless != nil || m.Portless != nil) {
			return s, unreadable("package.json", err)
		}
		if m.Hostless == nil {
			m.Hostless = m.Portless
		}
		if m.Hostless != nil {
			s = s.merge(*m.Hostless)
		}
	}
	if s.AppPort < 0 || s.AppPort > 65535 {
		return s, fault.New(fault.Usage, fmt.Sprintf("appPort is %d, which is not between 1 and 65535", s.AppPort))
	}
	if s.Name != "" {
		s.Name, err = appname.Check(s.Name)
	}
	return s, err
}

// projectText returns the name and content of the project's own file in dir.
func projectText(f Files, dir string) (name string, data []byte) {
	for _, name := range w("hostless.json", "portless.json") {
		if data, ok := f.read(path.Join(dir, name)); ok {
			return name, data
		}
	}
	return "", nil
}

func unreadable(file string, err error) error {
	why := err.Error()
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		why = fmt.Sprintf("%s cannot be a %s", kind.Field, kind.Value)
	}
	return &fault.Error{Kind: fault.Usage, Message: file + " cannot be read: " + why, Err: err}
}

// ErrNoScript is wrapped by the error of ScriptCommand if there is nothing to run.
var ErrNoScript = errors.New("no script")

// ScriptCommand returns the command that runs a script of the package at dir: the script
// given, else the project's, else "dev". The error is fault.Usage. It wraps ErrNoScript if
// the package has no such script. A script that starts Hostless without a command is
// refused, since it would run itself again.
func ScriptCommand(f Files, dir, script string) ([]string, error) {
	if script == "" {
		s, err := Configured(f, dir)
		if err != nil {
			return nil, err
		}
		if script = s.Script; script == "" {
			script = "dev"
		}
	}
	text, at, ok := (&resolver{files: f}).script(dir, script)
	if !ok {
		message := "there is no command to run, and no package.json with a script " + script
		if at != "/" || f.exists("/package.json") {
			message = fmt.Sprintf("there is no command to run, and %s has no script %q", path.Join(at, "package.json"), script)
		}
		return nil, &fault.Error{Kind: fault.Usage, Message: message, Next: "hostless run NAME -- CMD…", Err: ErrNoScript}
	}
	if startsItself(text) {
		return nil, &fault.Error{Kind: fault.Usage, Message: fmt.Sprintf("the script %q would run itself endlessly: it starts Hostless without a command", script),
			Next: `put the app's command into another script and set "hostless": { "script": "dev:app" } in package.json`}
	}
	root, _ := workspace(f, at)
	if root == "" {
		root = at
	}
	return []string{manager(f, root), "run", script}, nil
}

// startsItself reports whether a script is `hostless` or `hostless run` without a
// command, which would run the script again, endlessly.
func startsItself(text string) bool {
	words, ok := lastCommand(text)
	if n, _ := assignments(words); ok {
		words = words[n:]
	}
	if !ok || len(words) == 0 || toolName(words[0]) != "hostless" {
		return false
	}
	rest := words[1:]
	named := len(rest) > 0 && rest[0] == "run"
	if named {
		rest = rest[1:]
	}
	positional := 0
	for _, word := range rest {
		switch {
		case word == "--", word == "--script", strings.HasPrefix(word, "--script="), word == "--all":
			return false
		case !strings.HasPrefix(word, "-"):
			positional++
		}
	}
	return positional == 0 || named && positional == 1
}

// builders are tools that write files and serve nothing.
var builders = w("tsc", "tsup", "tsdown", "rollup", "unbuild", "babel", "swc", "tailwindcss", "postcss", "sass", "graphql-codegen", "esbuild", "ncc", "microbundle", "vue-tsc", "svelte-package", "copyfiles", "sleep")

// Builds reports whether a script only builds: its tool is known to serve nothing.
func Builds(f Files, dir, script string) bool {
	found, ok := (&resolver{files: f}).resolveScript(dir, script, nil)
	if !ok {
		return false
	}
	if found.tool == "vite" {
		return subcommand(found.args) == "build"
	}
	for _, name := range builders {
		if found.tool == name {
			_, serves := flagValue(found.args, "--serve")
			return !serves && !strings.Contains(strings.Join(found.args, " "), "--servedir")
		}
	}
	return false
}
