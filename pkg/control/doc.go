// Package control owns the control API: the server on the control socket, the
// typed client, and the wire types that pass between them.
//
// Who may call is the kernel's word on the peer's uid; a program below a run, by
// the kernel's word on its parents, may ask for no more than its run was given.
// Where the socket comes from is left to package listen, what is administered
// to the stores, which come in as the interfaces of stores.go.
package control
