// Package dashboard owns the page at hostless.localhost: who may see it, and what it shows.
// The page is read-only: no path accepts anything but the link that starts a session.
//
// A link is created over the control socket, works once and for some minutes, and has its
// secret in the fragment of its URL. The page exchanges it for a session, which the tab keeps
// in sessionStorage and sends as a header. It is not a cookie, since all ports and apps of
// this machine share cookies. The data comes from packages reqlog, spend and control and is
// rendered as HTML here.
package dashboard
