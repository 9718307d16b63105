// Package routes owns the route table of the apps: which app has which name, who owns the
// name, where the app listens, and which port is reserved for it.
//
// Standing routes are stored on disk; the routes of live processes and runs are in
// memory. The control server decides who may register what; package token owns tokens.
package routes
