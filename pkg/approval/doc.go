// Package approval owns the requests of web apps for a bridge token: POST
// /auth/register and the page /connect, the queue in which a request waits for
// the person, the dialogs that ask, and the grants that a person has remembered.
//
// Everything that a request holds is a stranger's: it is checked and bounded
// before it is kept, shown or sent back. Minting tokens is left to package token,
// who may decide to package control.
package approval
