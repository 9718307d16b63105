// Package http1 owns the client side of HTTP/1.1 to apps: connections and their pool,
// message heads and framing, over TCP, TLS and Unix sockets.
//
// A round trip runs in the caller's goroutine. The caller decides what is forwarded and
// how failures are handled.
package http1
