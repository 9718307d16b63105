// Package detect owns what can be concluded about a project from its files: its
// name and the sub-label of its worktree, its apps, and the tool that a command
// line starts, with the flags that give that tool its port.
//
// It is pure: it reads the Files that it is handed, starts nothing and changes
// nothing. What runs is package launch's.
package detect
