// Package daemon puts the parts of hostlessd together and keeps them running:
// sockets, the two planes, the control server and their stores; readiness,
// watchdog, reload, drain. It adapts the concrete stores to the interfaces that
// the planes and the control server declare, and owns nothing that they own.
package daemon
