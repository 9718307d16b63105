package anthropic

import (
	"slices"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// CacheMarks is which marks for the prompt cache a request gets whose caller set none.
type CacheMarks int

const (
	// NoMarks leaves it to the caller.
	NoMarks CacheMarks = iota
	// AutomaticMarks marks the instructions, or else the tools, and asks Anthropic to
	// move a mark along with the conversation
	// (https://docs.claude.com/en/docs/build-with-claude/prompt-caching).
	AutomaticMarks
	// BlockMarks marks the instructions, or else the tools, and the user's last block:
	// what every server that speaks Messages knows.
	BlockMarks
)

var ephemeral = jsonscan.Lit(`{"type":"ephemeral"}`)

// markCache marks a request for the prompt cache. What is marked does not change from
// turn to turn but for the last block, so that each prefix stays what it was.
func (t *fromChat) markCache(o *jsonscan.Value) {
	if t.options.Marks == NoMarks || o.Get("cache_control").Set() || t.marked() {
		return
	}
	if !mark(t.system) {
		mark(t.tools)
	}
	if t.options.Marks == AutomaticMarks {
		o.Put("cache_control", ephemeral)
		return
	}
	for i := range slices.Backward(t.turns) {
		if turn := &t.turns[i]; turn.role == "user" {
			if !mark(turn.blocks) {
				mark(turn.results)
			}
			return
		}
	}
}

// marked reports whether the caller marked anything.
func (t *fromChat) marked() bool {
	has := func(blocks []jsonscan.Value) bool {
		return slices.ContainsFunc(blocks, func(b jsonscan.Value) bool { return b.Get("cache_control").Set() })
	}
	return has(t.system) || has(t.tools) || slices.ContainsFunc(t.turns, func(turn turn) bool { return has(turn.results) || has(turn.blocks) })
}

// mark marks the last of the blocks, where there is one.
func mark(blocks []jsonscan.Value) bool {
	if len(blocks) == 0 {
		return false
	}
	setCache(blocks, ephemeral)
	return true
}
