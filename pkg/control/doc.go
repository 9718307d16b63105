// Package control owns the control API: the server on the control socket, the typed
// client, and the wire types.
//
// The server accepts requests by the peer's uid, as the kernel reports it. A program inside
// a run, which it finds by the peer's ancestors, may request no more than the run's scope.
// Package listen creates the socket. The stores that are administered are passed in as the
// interfaces of stores.go.
package control
