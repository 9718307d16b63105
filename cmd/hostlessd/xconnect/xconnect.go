// Package xconnect turns on extended CONNECT (RFC 8441), with which browsers open
// WebSockets over HTTP/2. The only switch that net/http has for it is in the
// environment, and is read when that package is initialised. This package sets it, so it
// must be initialised first. It is: since Go 1.21 packages whose imports are initialised
// are initialised in the order of their import paths, and this one imports only os. It
// owns nothing else; package apps bridges such streams.
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
