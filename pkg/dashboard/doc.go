// Package dashboard owns the page at hostless.localhost: who may see it, and what it
// shows. It changes nothing: there is no form, and no path that takes more than the
// link by which a session begins.
//
// A link is made over the control socket, works once and within minutes, and carries
// its secret in the fragment of its address. The page exchanges it for a session that
// its tab keeps in sessionStorage and sends as a header; there is no cookie, which
// every port and every app of this machine would share. The numbers are those of
// packages reqlog, spend and control, rendered as HTML here.
package dashboard
