// Package daemon assembles and runs the parts of hostlessd: sockets, the two planes, the
// control server and their stores. It owns readiness, watchdog, reload and drain, and adapts
// the stores to the interfaces that the planes and the control server declare. Everything
// else belongs to these packages.
package daemon
