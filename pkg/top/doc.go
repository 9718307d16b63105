// Package top owns the live view in a terminal: requests in flight, apps, spend and the
// last requests, redrawn at each refresh.
//
// It draws with ECMA-48 sequences that every terminal supports and reads single keys, which
// needs no library. Without a terminal it prints a line at each refresh.
package top
