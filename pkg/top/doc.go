// Package top owns the live view in a terminal: requests in flight, apps, spend and the
// last requests, drawn anew as they change.
//
// It draws with ECMA-48 sequences that every terminal has and reads one key; a library
// for it would be larger than all of this. Without a terminal it prints a line now and then.
package top
