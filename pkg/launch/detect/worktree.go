package detect

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
)

// Prefix determines whether the branch of a linked git worktree is put before the app's
// name as a label.
type Prefix int

// The prefix modes.
const (
	PrefixAuto   Prefix = iota // inferred names only
	PrefixAlways               // explicit names too
	PrefixNever                // none
)

// gitDir is a checkout, found by its .git directory or file without running git
// (gitrepository-layout(5)).
type gitDir struct {
	root   string // the checkout's root
	dir    string // its git directory
	common string // the repository's git directory
	linked bool   // a linked worktree: "git worktree add"
}

// findGit finds the checkout that contains dir.
func findGit(f Files, dir string) (gitDir, bool) {
	for at := dir; ; at = path.Dir(at) {
		dotGit := path.Join(at, ".git")
		if f.isDir(dotGit) {
			return gitDir{root: at, dir: dotGit, common: dotGit}, true
		}
		if target, ok := strings.CutPrefix(f.text(dotGit), "gitdir:"); ok {
			g := gitDir{root: at, dir: absolute(at, strings.TrimSpace(target))}
			// A submodule has a .git file too, but no repository beside it.
			if common := f.text(path.Join(g.dir, "commondir")); common != "" {
				g.common, g.linked = absolute(g.dir, common), true
			} else {
				g.common = g.dir
			}
			return g, true
		}
		if at == "/" {
			return gitDir{}, false
		}
	}
}

func absolute(base, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(base, name)
}

// project returns the repository's name, which is the same in all its worktrees.
func (g gitDir) project() string {
	if !g.linked {
		return path.Base(g.root)
	}
	if path.Base(g.common) == ".git" {
		return path.Base(path.Dir(g.common))
	}
	base := path.Base(g.common)
	if strings.HasPrefix(base, ".") { // shop/.bare, next to its worktrees
		return path.Base(path.Dir(g.common))
	}
	return strings.TrimSuffix(base, ".git") // a bare repository
}

// worktreeLabel returns the label of a linked worktree: the last segment of its branch,
// or its directory's name if no branch is checked out. It is "" for the main checkout and
// for the branches main and master. If another worktree of the repository has the same
// label, both get a hash of their path.
func worktreeLabel(f Files, dir string) string {
	g, ok := findGit(f, dir)
	if !ok || !g.linked {
		return ""
	}
	label := labelOf(f, g.dir, g.root)
	if label == "" {
		return ""
	}
	worktrees := path.Join(g.common, "worktrees")
	for _, id := range f.names(worktrees) {
		other := path.Join(worktrees, id)
		if other == g.dir || id == path.Base(g.dir) {
			continue
		}
		root := path.Dir(absolute(other, f.text(path.Join(other, "gitdir"))))
		if root != g.root && labelOf(f, other, root) == label {
			return appname.Shorten(label + "-" + appname.Hash(g.root))
		}
	}
	return label
}

// labelOf returns the label without regard to other worktrees.
func labelOf(f Files, dir, root string) string {
	branch := branchOf(f, dir)
	switch branch {
	case "main", "master":
		return ""
	case "":
		return appname.Label(path.Base(root))
	}
	if label := appname.Label(path.Base(branch)); label != "" {
		return label
	}
	return appname.Hash(branch)
}

// branchOf returns the branch that is checked out or being rebased, or "".
func branchOf(f Files, dir string) string {
	const heads = "refs/heads/"
	if ref, ok := strings.CutPrefix(f.text(path.Join(dir, "HEAD")), "ref:"); ok {
		branch, ok := strings.CutPrefix(strings.TrimSpace(ref), heads)
		if ok && branch != ".invalid" { // written by the reftable format
			return branch
		}
		return ""
	}
	for _, state := range []string{"rebase-merge", "rebase-apply"} {
		if branch, ok := strings.CutPrefix(f.text(path.Join(dir, state, "head-name")), heads); ok {
			return branch
		}
	}
	return ""
}

// FullName puts the worktree's label before a name if the mode requires it.
func FullName(f Files, name string, explicit bool, mode Prefix, dir string) string {
	if mode == PrefixNever || explicit && mode != PrefixAlways {
		return name
	}
	label := worktreeLabel(f, dir)
	if label == "" {
		return name
	}
	full, err := appname.Check(strings.NewReplacer("{branch}", label, "{project}", name).Replace(worktreeTemplate(f, dir)))
	if err != nil {
		full, err = appname.Check(label + "." + name)
	}
	if err != nil {
		return name // too long
	}
	return full
}

// worktreeTemplate returns the project's template for worktree names: "worktreeName" of
// the nearest project file or package.json up to the checkout's root. Without "{branch}"
// in it all worktrees have the same name, and so the same origin.
func worktreeTemplate(f Files, dir string) string {
	g, _ := findGit(f, dir)
	for at := dir; ; at = path.Dir(at) {
		var s struct{ WorktreeName string }
		if _, data := projectText(f, at); json.Unmarshal(data, &s) == nil && s.WorktreeName != "" {
			return s.WorktreeName
		}
		var m struct{ Hostless json.RawMessage }
		if data, ok := f.read(path.Join(at, "package.json")); ok && json.Unmarshal(data, &m) == nil {
			if json.Unmarshal(m.Hostless, &s) == nil && s.WorktreeName != "" {
				return s.WorktreeName
			}
		}
		if at == "/" || at == g.root {
			return "{branch}.{project}"
		}
	}
}
