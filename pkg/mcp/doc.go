// Package mcp owns the Model Context Protocol server: read-only tools for the apps,
// their output, the request log and spend.
//
// The tools return what the control API returns to the process that asks: below
// `hostless run`, only what belongs to its own app. They change nothing. They are
// served on standard streams, and over HTTP on the gateway's address to clients with a
// token that is only for this.
package mcp
