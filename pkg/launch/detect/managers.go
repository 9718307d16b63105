package detect

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// valued are the package managers' own flags that take a value.
var valued = w("-C", "--dir", "--prefix", "--cwd", "-F", "--filter", "-w", "--workspace", "-p", "--package",
	"--reporter", "--loglevel", "--registry", "--config", "--userconfig", "--script-shell")

// call is the parsed command line of a package manager.
type call struct {
	manager string
	dir     string // the directory it works in
	filter  string // the workspace package, "" for none
	many    bool   // it runs in several packages
	rest    []string
	at      int // index of rest[0] in the line
	last    string
}

// flags parses the manager's flags before its next word.
func (c *call) flags() {
	i := 0
	for ; i < len(c.rest) && strings.HasPrefix(c.rest[i], "-") && c.rest[i] != "--"; i++ {
		i += c.flagAt(i)
	}
	c.drop(i)
}

// flagAt parses the manager's flag rest[i] and returns how many more words its value has.
func (c *call) flagAt(i int) (more int) {
	name, value, joined := strings.Cut(c.rest[i], "=")
	// pnpm's -w selects the workspace's root and takes no value.
	takes := slices.Contains(valued, name) && (name != "-w" || c.manager == "npm") && (name != "-p" || c.last == "exec")
	if takes && !joined && i+1 < len(c.rest) {
		value, more = c.rest[i+1], 1
	}
	c.flag(name, value)
	return more
}

func (c *call) flag(name, value string) {
	switch name {
	case "-C", "--dir", "--prefix", "--cwd":
		c.dir = absolute(c.dir, value)
	case "-F", "--filter":
		c.pick(value)
	case "--workspace":
		c.pick(value)
	case "-w":
		if c.manager == "npm" {
			c.pick(value)
		}
	case "-r", "--recursive", "--parallel", "--workspaces", "-ws", "--call", "--shell-mode":
		c.many = true
	case "-c":
		c.many = c.many || c.last == "exec" // a shell command
	}
}

// pick records a selected package of the workspace; a second one sets many.
func (c *call) pick(name string) {
	c.many = c.many || c.filter != "" || strings.ContainsAny(name, "*!{}[]") || strings.Contains(name, "...")
	c.filter = name
}

func (c *call) drop(n int) {
	n = min(n, len(c.rest))
	c.at += n
	c.rest = c.rest[n:]
}

// word returns and consumes the next word.
func (c *call) word() string {
	if len(c.rest) == 0 {
		return ""
	}
	c.last = c.rest[0]
	c.drop(1)
	return c.last
}

// resolveManager resolves the command line of a JavaScript package manager to the program
// that it fetches or finds (npx, dlx, exec), or to a script of package.json.
func (s *resolver) resolveManager(name, dir string, line []string) (detectedTool, bool) {
	if name == "corepack" {
		return s.resolveAfter(dir, line, 1, 0)
	}
	c := &call{manager: name, dir: dir, rest: line[1:], at: 1}
	switch name {
	case "npx", "pnpx", "bunx":
		c.manager, c.last = map[string]string{"npx": "npm", "pnpx": "pnpm", "bunx": "bun"}[name], "exec"
		return s.resolveProgram(c, line)
	}
	c.flags()
	verb := c.word()
	switch {
	case verb == "" || verb == "--":
		return detectedTool{}, false
	case verb == "exec" && name == "npm", verb == "x" && name == "npm":
		c.last = "exec"
		return s.resolveNpmExec(c, line)
	case verb == "exec", verb == "dlx", verb == "x" && name == "bun":
		c.last = "exec"
		return s.resolveProgram(c, line)
	case verb == "workspace" && name == "yarn":
		c.filter = c.word()
		verb = c.word()
	}
	if verb == "run" || verb == "run-script" || verb == "rum" || verb == "urn" {
		c.flags()
		verb = c.word()
	} else if name == "npm" && verb != "start" {
		return detectedTool{}, false // npm's other commands run nothing
	}
	return s.resolveScriptOf(c, verb, line)
}

// resolveProgram resolves a program named on the line; all following words are its
// arguments.
func (s *resolver) resolveProgram(c *call, line []string) (detectedTool, bool) {
	c.flags()
	if len(c.rest) > 0 && c.rest[0] == "--" {
		c.drop(1)
	}
	dir, ok := s.programDir(c)
	if !ok || len(c.rest) == 0 {
		return detectedTool{}, false
	}
	return s.resolveAfter(dir, line, c.at, 0)
}

// resolveNpmExec resolves `npm exec`: flags before a "--" are npm's own, also those after
// the program's name.
func (s *resolver) resolveNpmExec(c *call, line []string) (detectedTool, bool) {
	c.flags()
	if len(c.rest) > 0 && c.rest[0] == "--" {
		return s.resolveProgram(c, line)
	}
	words, dashed := c.npmArgs()
	dir, ok := s.programDir(c)
	if !ok || len(c.rest) == 0 {
		return detectedTool{}, false
	}
	return s.appendable(dir, line, words, dashed, true)
}

// npmArgs returns the words that npm passes on: words that are not flags, and everything
// after the first "--". Flags before it are npm's own, at any position.
func (c *call) npmArgs() (words []string, dashed bool) {
	for i := 0; i < len(c.rest); i++ {
		switch a := c.rest[i]; {
		case a == "--":
			return append(words, c.rest[i+1:]...), true
		case strings.HasPrefix(a, "-"):
			i += c.flagAt(i)
		default:
			words = append(words, a)
		}
	}
	return words, false
}

// appendable resolves a command to which the words at the end of the line are appended.
// dashed means that the line already has a "--", needs that flags are passed on only
// after one.
func (s *resolver) appendable(dir string, line, words []string, dashed, needs bool) (detectedTool, bool) {
	found, ok := s.resolve(dir, words)
	if !ok {
		return found, false
	}
	inner := found.tail
	found.tail = func(flags []string) ([]string, bool) {
		more, ok := inner(flags)
		if !dashed && len(more) > 0 && (needs || more[0] == "--") {
			more = append([]string{"--"}, more...)
		}
		return more, ok
	}
	found.insert = func(flags []string) ([]string, bool) {
		more, ok := found.tail(flags)
		return append(append([]string{}, line...), more...), ok
	}
	return found, true
}

// resolveScriptOf resolves a script of package.json, or the program of that name if there
// is no such script and the manager would run one.
func (s *resolver) resolveScriptOf(c *call, script string, line []string) (detectedTool, bool) {
	var more []string
	dashed, needs := false, false
	switch c.manager {
	case "npm":
		more, dashed = c.npmArgs()
		needs = true
	case "pnpm":
		// The rest is passed on unchanged, "--" included, so flags need none.
		more, dashed = c.rest, true
	default: // yarn, bun: the first "--" is dropped
		more = c.rest
		if i := slices.Index(more, "--"); i >= 0 {
			more, dashed = append(append([]string{}, more[:i]...), more[i+1:]...), true
		}
	}
	dir, ok := s.workspaceDir(c)
	if !ok || script == "" {
		return detectedTool{}, false
	}
	text, at, ok := s.script(dir, script)
	if !ok {
		if c.manager == "npm" || strings.HasPrefix(script, "-") || (c.manager == "bun" && strings.Contains(path.Base(script), ".") && !strings.Contains(script, "node_modules/")) {
			return detectedTool{}, false
		}
		return s.resolveAfter(dir, line, c.at-1, 0) // `pnpm vite`, `yarn run vite`
	}
	text, commented := cutComment(text)
	words, ok := lastCommand(text)
	if !ok {
		s.lookForServers(at, text)
		return detectedTool{}, false
	}
	found, ok := s.appendable(at, line, append(words, more...), dashed, needs)
	if t, known := tools[found.tool]; !ok || !known || !t.serves(s.files, found.dir, found.args) {
		s.lookForServers(at, text)
	}
	if ok && commented {
		found = s.pastComment(found, at, script, text, more)
	}
	return found, ok
}

// pastComment makes the shell run the text of a script that ends in a comment: what the
// manager appends would become a part of the comment. A script with pre or post scripts
// is left to the manager.
func (s *resolver) pastComment(found detectedTool, at, script, text string, more []string) detectedTool {
	found.tail = func([]string) ([]string, bool) { return nil, false }
	found.insert = func(words []string) ([]string, bool) {
		_, _, before := s.script(at, "pre"+script)
		_, _, after := s.script(at, "post"+script)
		if before || after || strings.ContainsAny(at+strings.Join(more, ""), "'") {
			return nil, false
		}
		all := append([]string{"cd", "'" + at + "'", "&&", text}, more...)
		return []string{"sh", "-c", strings.Join(append(all, words...), " ")}, true
	}
	return found
}

// script returns a script of the nearest package.json, as the managers do.
func (s *resolver) script(dir, name string) (text, at string, ok bool) {
	for at = dir; ; at = path.Dir(at) {
		if data, found := s.files.read(path.Join(at, "package.json")); found {
			var m struct{ Scripts map[string]string }
			if json.Unmarshal(data, &m) != nil {
				return "", "", false
			}
			text, ok = m.Scripts[name]
			return text, at, ok
		}
		if at == "/" {
			return "", "", false
		}
	}
}

// programDir returns the directory in which a program of the line runs. The program
// itself does not depend on the package, so a package that is not found leaves only the
// directory unknown.
func (s *resolver) programDir(c *call) (dir string, ok bool) {
	if dir, ok := s.workspaceDir(c); ok {
		return dir, true
	}
	return c.dir, !c.many
}

// workspaceDir returns the directory in which the call runs: its own, or that of the one
// package that it selects.
func (s *resolver) workspaceDir(c *call) (dir string, ok bool) {
	switch {
	case c.many:
		return "", false
	case c.filter == "":
		return c.dir, true
	}
	root, packages := workspace(s.files, c.dir)
	if root == "" {
		return "", false
	}
	for _, p := range packages {
		if p.name == c.filter || dropScope(p.name) == c.filter || p.dir == absolute(c.dir, c.filter) {
			return p.dir, true
		}
	}
	return "", false
}
