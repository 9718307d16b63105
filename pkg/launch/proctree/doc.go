// Package proctree owns a command together with its whole process tree: it starts
// the command under a guard process that ends the tree when its starter wants it,
// or has ended, keeps the last lines of the output, and passes signals on.
//
// It knows nothing of a daemon, a route or a project: package launch decides what
// is started, and when it ends. The program that calls Start must run Guard in a
// new process of its own when it is started with the guard's arguments.
package proctree
