// Package mcp owns the Model Context Protocol server: read-only tools over the apps,
// what they printed, the request log and spend.
//
// What they show is what the control API gives to the process that asks: below
// `hostless run`, its own app's. It changes nothing.
package mcp
