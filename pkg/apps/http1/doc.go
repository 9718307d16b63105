// Package http1 owns the client side of HTTP/1.1 towards apps: connections and
// their pool, the head and the framing of messages, over TCP, TLS and Unix
// sockets.
//
// A round trip runs in the caller's goroutine. What is forwarded, and what is
// done when it fails, is the caller's to decide.
package http1
