// Package guide owns the page for coding agents: what `hostless skill` prints and
// /llms.txt at hostless.localhost serves. It is text alone.
package guide

import _ "embed"

// Text is the page, as a skill: YAML front matter and Markdown.
//
//go:embed guide.md
var Text string
