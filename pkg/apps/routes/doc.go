// Package routes owns the route table of the apps: which app has which name,
// whose it is, where it listens, and which port is reserved for it.
//
// Standing aliases are on disk, the routes of live processes in memory. Who may
// register what is decided by the control server; tokens are package token's.
package routes
