// Package apps owns the reverse plane: which app has which name, whose it is,
// and how a request reaches it.
//
// It keeps the route table (standing aliases on disk, routes of live processes
// in memory), reserves ports for apps that are about to start, proxies requests
// and upgrades, and shows a page that says what is wrong where an app cannot be
// reached. Who may register what is decided by the control server; tokens are
// package token's; that only names below .localhost come here is package front's
// promise, which is checked again.
package apps
