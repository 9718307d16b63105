// Package proctree owns a command with its whole process tree. It starts the command
// under a guard process, which forwards signals, keeps the last lines of the output, and
// ends the tree when its starter asks for that or has ended.
//
// It knows nothing of daemons, routes or projects: package launch decides what is started
// and when it ends. The program that calls Start must call Guard when it is started with
// the guard's arguments.
package proctree
