package launch

import (
	"encoding/json"
	"path"
	"slices"
	"sort"
	"strings"
)

// workspacePackage is one package of a JavaScript workspace.
type workspacePackage struct {
	name    string // as package.json has it
	dir     string
	scripts map[string]string
}

// workspace finds the workspace that dir is in (npm's, yarn's and bun's
// `workspaces` of package.json, pnpm's pnpm-workspace.yaml) and its packages,
// in the order of their directories. Without one, root is "".
func workspace(f files, dir string) (root string, packages []workspacePackage) {
	for at := dir; ; at = path.Dir(at) {
		if globs := workspaceGlobs(f, at); len(globs) > 0 {
			return at, packagesOf(f, at, globs)
		}
		if at == "/" {
			return "", nil
		}
	}
}

func workspaceGlobs(f files, dir string) []string {
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
	var object struct{ Packages []string } // yarn's longer form
	_ = json.Unmarshal(m.Workspaces, &object)
	return object.Packages
}

// yamlPackages reads the one list of pnpm-workspace.yaml that matters here: the
// strings under `packages:`, as a block or in brackets.
func yamlPackages(text string) (globs []string) {
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		bare := strings.TrimSpace(line)
		switch {
		case bare == "" || strings.HasPrefix(bare, "#"):
		case strings.HasPrefix(line, "packages:"):
			in = true
			list := strings.TrimSpace(strings.TrimPrefix(line, "packages:"))
			for item := range strings.SplitSeq(strings.Trim(list, "[]"), ",") {
				if item = yamlString(item); item != "" && strings.HasPrefix(list, "[") {
					globs = append(globs, item)
				}
			}
		case in && strings.HasPrefix(bare, "-"):
			if item := yamlString(bare[1:]); item != "" {
				globs = append(globs, item)
			}
		case line == strings.TrimLeft(line, " \t"):
			in = false // the next key
		}
	}
	return globs
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

// packagesOf resolves the globs: "*" within a segment, "**" over several, "!"
// for exceptions.
func packagesOf(f files, root string, globs []string) []workspacePackage {
	dirs := map[string]bool{}
	for _, glob := range globs {
		out, excluded := strings.CutPrefix(glob, "!")
		pattern := strings.Split(path.Clean(strings.TrimPrefix(out, "./")), "/")
		if excluded {
			for dir := range dirs {
				if matchPath(pattern, strings.Split(strings.TrimPrefix(dir, root+"/"), "/")) {
					delete(dirs, dir)
				}
			}
			continue
		}
		expand(f, root, pattern, dirs)
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

// skipped are never parts of a workspace.
var skipped = w("node_modules", ".git", "dist", "build", ".next", "target")

func expand(f files, dir string, pattern []string, into map[string]bool) {
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
		if slices.Contains(skipped, name) || strings.HasPrefix(name, ".") || !f.isDir(below) {
			continue
		}
		if head == "**" {
			expand(f, below, pattern, into)
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
