// Package guide owns the instructions for coding agents that `hostless skill` prints and
// hostless.localhost serves at /llms.txt.
package guide

import _ "embed"

// Text contains the instructions as a skill: YAML front matter and Markdown.
//
//go:embed guide.md
var Text string
