// Package approval owns the requests of web apps for a bridge token: POST /auth/register
// and the page /connect, the queue in which requests wait for a person, the dialogs that
// ask, and the grants that are remembered.
//
// Everything in a request is untrusted: it is checked and bounded before it is stored,
// shown or sent back. Package token mints the tokens; package control decides who may
// answer a request.
package approval
