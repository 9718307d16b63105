// Package xconnect turns on extended CONNECT (RFC 8441), by which browsers open
// WebSockets on HTTP/2. net/http reads its switch for it from the environment
// when it is initialised and offers no other; this package must therefore be
// initialised before. It is: packages are initialised in the order of their
// import paths as soon as what they import is (Go 1.21), and this one imports
// os alone. It owns nothing else; apps bridge such streams, in package apps.
package xconnect

import "os"

func init() {
	const on = "http2xconnect=1"
	if debug := os.Getenv("GODEBUG"); debug != "" {
		os.Setenv("GODEBUG", debug+","+on)
	} else {
		os.Setenv("GODEBUG", on)
	}
}
