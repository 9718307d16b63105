// Package detect owns what can be derived from a project's files: its name and the label
// of its worktree, its apps, and the tool that a command line starts, with the flags that
// set that tool's port.
//
// It only reads the Files that it is given: it starts nothing and changes nothing.
// Package launch runs the commands.
package detect
