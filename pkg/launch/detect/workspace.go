package detect

import (
	"encoding/json"
	"path"
	"slices"
	"sort"
	"strings"
)

// workspacePackage is one package of a JavaScript workspace.
type workspacePackage struct {
	name    string // from package.json
	dir     string
	scripts map[string]string
}

// workspace finds the workspace that contains dir (`workspaces` of package.json for npm,
// yarn and bun, pnpm-workspace.yaml for pnpm) and its packages, sorted by directory. root
// is "" if there is none.
func workspace(f Files, dir string) (root string, packages []workspacePackage) {
	for at := dir; ; at = path.Dir(at) {
		if globs := workspaceGlobs(f, at); len(globs) > 0 {
			return at, packagesOf(f, at, globs)
		}
		if at == "/" {
			return "", nil
		}
	}
}

// DevPackages returns the number of packages with a dev script in the workspace whose
// root is dir.
func DevPackages(f Files, dir string) (n int) {
	for _, p := range packagesOf(f, dir, workspaceGlobs(f, dir)) {
		if p.scripts["dev"] != "" {
			n++
		}
	}
	return n
}

func workspaceGlobs(f Files, dir string) []string {
	if text, ok := f.read(path.Join(dir, "pnpm-workspace.yaml")); ok {
		return yamlPackages(string(text))
	}
	data, ok := f.read(path.Join(dir, "package.json"))
	if !ok {
		return nil
	}
	var m struct{ Workspaces json.RawMessage }
	if json.Unmarshal(data, &m) != nil || len(m.Workspaces) == 0 {
		return nil
	}
	var list []string
	if json.Unmarshal(m.Workspaces, &list) == nil {
		return list
	}
	var object struct{ Packages []string } // yarn's object form
	_ = json.Unmarshal(m.Workspaces, &object)
	return object.Packages
}

// yamlPackages returns the strings of `packages:` in pnpm-workspace.yaml, which can be a
// block or a flow sequence.
func yamlPackages(text string) (globs []string) {
	in := false
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimRight(line, " \t\r")
		trimmed := strings.TrimSpace(line)
		switch list, ok := strings.CutPrefix(line, "packages:"); {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case ok && strings.HasPrefix(strings.TrimSpace(list), "["):
			return yamlFlow(text[strings.IndexByte(text, '[')+1:])
		case ok:
			in = true
		case in && strings.HasPrefix(trimmed, "-"):
			if item := yamlString(trimmed[1:]); item != "" {
				globs = append(globs, item)
			}
		case line == strings.TrimLeft(line, " \t"):
			in = false // the next key
		}
		text = rest
	}
	return globs
}

// yamlFlow returns the strings of a flow sequence, given the text after its opening
// bracket.
func yamlFlow(text string) (items []string) {
	from, quote, comment := 0, byte(0), false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case comment:
			if comment = c != '\n'; !comment {
				from = i
			}
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#' && strings.TrimSpace(text[from:i]) == "":
			comment = true
		case c == ',' || c == ']':
			if item := yamlString(text[from:i]); item != "" {
				items = append(items, item)
			}
			if from = i + 1; c == ']' {
				return items
			}
		}
	}
	return items
}

func yamlString(item string) string {
	item = strings.TrimSpace(item)
	if len(item) > 1 && (item[0] == '"' || item[0] == '\'') {
		if end := strings.IndexByte(item[1:], item[0]); end >= 0 {
			return item[1 : 1+end]
		}
	}
	item, _, _ = strings.Cut(item, " #")
	return strings.TrimSpace(item)
}

// packagesOf returns the packages that match the globs: "*" matches within a segment,
// "**" several segments, "{a,b}" either. "!" excludes, at any position of the list.
func packagesOf(f Files, root string, globs []string) []workspacePackage {
	dirs := map[string]bool{}
	var exceptions [][]string
	for _, glob := range globs {
		glob, excluded := strings.CutPrefix(glob, "!")
		for _, one := range braces(glob, maxDepth) {
			pattern := strings.Split(path.Clean(strings.TrimPrefix(one, "./")), "/")
			if excluded {
				exceptions = append(exceptions, pattern)
			} else {
				expand(f, root, pattern, dirs)
			}
		}
	}
	for dir := range dirs {
		segments := strings.Split(strings.TrimPrefix(dir, root+"/"), "/")
		if slices.ContainsFunc(exceptions, func(pattern []string) bool { return matchPath(pattern, segments) }) {
			delete(dirs, dir)
		}
	}
	var packages []workspacePackage
	for dir := range dirs {
		data, ok := f.read(path.Join(dir, "package.json"))
		if !ok || dir == root {
			continue
		}
		var m struct {
			Name    string
			Scripts map[string]string
		}
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		if m.Name == "" {
			m.Name = path.Base(dir)
		}
		packages = append(packages, workspacePackage{name: m.Name, dir: dir, scripts: m.Scripts})
	}
	sort.Slice(packages, func(i, j int) bool { return packages[i].dir < packages[j].dir })
	return packages
}

// braces expands "{a,b}" in a glob, up to a depth.
func braces(glob string, depth int) (all []string) {
	open := strings.IndexByte(glob, '{')
	if open < 0 || depth == 0 {
		return []string{glob}
	}
	level, from := 0, open+1
	var parts []string
	for i := open; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '{':
			level++
		case c == ',' && level == 1:
			parts, from = append(parts, glob[from:i]), i+1
		case c == '}':
			if level--; level > 0 {
				continue
			}
			for _, part := range append(parts, glob[from:i]) {
				all = append(all, braces(glob[:open]+part+glob[i+1:], depth-1)...)
			}
			return all
		}
	}
	return []string{glob} // the brace is not closed
}

// built are directories of build output, which "**" does not enter.
var built = w("dist", "build", "target")

func expand(f Files, dir string, pattern []string, into map[string]bool) {
	if len(pattern) == 0 {
		into[dir] = true
		return
	}
	head, rest := pattern[0], pattern[1:]
	if head == "**" {
		expand(f, dir, rest, into)
	} else if !strings.ContainsAny(head, "*?[") {
		expand(f, path.Join(dir, head), rest, into)
		return
	}
	for _, name := range f.names(dir) {
		below := path.Join(dir, name)
		if name == "node_modules" || strings.HasPrefix(name, ".") || !f.isDir(below) {
			continue
		}
		if head == "**" {
			if !slices.Contains(built, name) {
				expand(f, below, pattern, into)
			}
		} else if ok, _ := path.Match(head, name); ok {
			expand(f, below, rest, into)
		}
	}
}

func matchPath(pattern, segments []string) bool {
	if len(pattern) == 0 {
		return len(segments) == 0
	}
	if pattern[0] == "**" {
		return matchPath(pattern[1:], segments) || len(segments) > 0 && matchPath(pattern, segments[1:])
	}
	if len(segments) == 0 {
		return false
	}
	ok, _ := path.Match(pattern[0], segments[0])
	return ok && matchPath(pattern[1:], segments[1:])
}
